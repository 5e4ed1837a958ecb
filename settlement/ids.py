"""Every identifier that is derived from a settlement's requestUniqueNo or a batch's id, in one place.

Derived, so that a replay, a retried activity and an operator's retry all repeat them exactly. Only a batch's own
id is random.
"""

import hashlib
import re
import uuid
from enum import StrEnum

_WORKFLOW = "settlement"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@+=-]*")
_UNSAFE = re.compile(r"(?![A-Za-z0-9._-])[\x00-\x7f]")
_ESCAPE = re.compile("~([0-9A-F]{2})")
_BATCH_WORKFLOW_ID_PREFIX = "batch-retry-"
RETRY_UPDATE = "retry_cancel_adjust"
"""The Update by which an aborted settlement goes back to CANCELLING."""

SETTLEMENT_WORKFLOW = "OrderSettlement"
"""Type of a settlement's workflow, by which Temporal lists them."""
SNAPSHOT_QUERY = "snapshot"
"""The Query that a settlement's workflow answers with all that it knows, even after it was ended from outside."""
STATE_ATTRIBUTE = "SettlementState"
"""The search attribute that says where a settlement stands; Temporal tells it without any worker."""
RECONCILIATION_SCHEDULE = "order-settlement-reconciliation"
"""Id of the Temporal Schedule by which ledger and Temporal are held against each other."""


class CancelKind(StrEnum):
    """The two cancel acts that one settlement may need; each has its own number."""

    FIRST = "FIRST"
    """Undoes the adjust."""
    CONFIRMING = "CONFIRMING"
    """The second look after the quarantine; catches an adjust that arrived late."""


def workflow_id(request_unique_no: str) -> str:
    """Return the id of the settlement's workflow: always the same one, and no other number has it."""
    return _WORKFLOW + _id_part(request_unique_no)


def number_of(workflow: str) -> str | None:
    """Return the settlement's number that a workflow's id was made from; None: no settlement's id looks like this."""
    part = workflow.removeprefix(_WORKFLOW)
    number = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), part[1:]) if part[:1] == "~" else part[1:]
    return number if workflow == workflow_id(number) else None


def _id_part(number: str) -> str:
    """Return a number as a part of an id: `-ORD-1` where it is readable as it is, `~a~2Fb` where it must be escaped.

    Needs at most 3 characters for each of the number's: Temporal's databases keep ids of up to 255. Its user interface
    and tools take such an id without quoting.
    """
    if _PLAIN.fullmatch(number):
        return f"-{number}"
    return "~" + _UNSAFE.sub(lambda character: f"~{ord(character[0]):02X}", number)


def cancel_unique_no(request_unique_no: str, kind: CancelKind) -> str:
    """Return the cancel's own requestUniqueNo: 44 characters, whatever the adjust's number is.

    A digest rather than a suffix: it fits in 48 characters for a 48-character adjust number, and no
    number that the platform hands out can meet it by chance.
    """
    digest = hashlib.sha256(f"{kind}:{request_unique_no}".encode()).hexdigest()
    prefix = "CA1-" if kind is CancelKind.FIRST else "CA2-"
    return prefix + digest[:40]


def new_batch_id() -> str:
    """Return the id of a batch that is about to begin. Random: the ledger knows a repeated request by its key."""
    return str(uuid.uuid4())


def is_batch_id(value: str) -> bool:
    """Tell whether a value has the form of a batch's id."""
    try:
        return str(uuid.UUID(value)) == value
    except ValueError:
        return False


def batch_workflow_id(batch: str) -> str:
    """Return the id of a batch's workflow, from the batch's id."""
    return f"{_BATCH_WORKFLOW_ID_PREFIX}{batch}"


def batch_update_id(batch: str, request_unique_no: str) -> str:
    """Return the Update's id by which a batch has a settlement retried: repeated, it is the same one retry."""
    return f"batch-{batch}{_id_part(request_unique_no)}"
