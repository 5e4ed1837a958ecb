"""Every identifier that is derived from a settlement's requestUniqueNo, in one place.

Derived, never random: a replay, a retried activity and an operator's retry all repeat them exactly.
"""

import hashlib
from enum import StrEnum

_WORKFLOW_ID_PREFIX = "settlement-"


class CancelKind(StrEnum):
    """The two cancel acts that one settlement may need; each has its own number."""

    FIRST = "FIRST"
    """Undoes the adjust."""
    CONFIRMING = "CONFIRMING"
    """The second look after the quarantine; catches an adjust that arrived late."""


def workflow_id(request_unique_no: str) -> str:
    """Return the id of the settlement's workflow; the same number always gives the same id."""
    return f"{_WORKFLOW_ID_PREFIX}{request_unique_no}"


def cancel_unique_no(request_unique_no: str, kind: CancelKind) -> str:
    """Return the cancel's own requestUniqueNo: 44 characters, whatever the adjust's number is.

    A digest rather than a suffix: it fits in 48 characters for a 48-character adjust number, and no
    number that the platform hands out can meet it by chance.
    """
    digest = hashlib.sha256(f"{kind}:{request_unique_no}".encode()).hexdigest()
    prefix = "CA1-" if kind is CancelKind.FIRST else "CA2-"
    return prefix + digest[:40]
