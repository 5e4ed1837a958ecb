"""The identity of a settlement, and the ids of workflows, cancels and Updates that are derived from it or from a batch.

Because they are derived, a replay, a retried activity and an operator's retry produce exactly the same ids. Only a
batch's own id is random.
"""

import hashlib
import re
import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from contract.fields import UNIQUE_NO_LENGTH_MAX, is_unique_no
from settlement.system_names import SYSTEM_NAME_LENGTH_MAX, SYSTEM_NAME_PATTERN, is_system_name

SETTLEMENT_ID_LENGTH_MAX: Final = SYSTEM_NAME_LENGTH_MAX + 1 + UNIQUE_NO_LENGTH_MAX
"""Maximum characters of a settlement's id as text."""
_WORKFLOW = "settlement:"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@+=-]*")
_UNSAFE = re.compile(r"(?![A-Za-z0-9._-])[\x00-\x7f]")
_ESCAPE = re.compile("~([0-9A-F]{2})")
_PARTS = re.compile(rf"{_WORKFLOW}({SYSTEM_NAME_PATTERN[1:-1]})([:~])(.+)", re.DOTALL)
"""System, sign and number of a workflow id. A system name contains neither sign, so the parts are unambiguous."""
_BATCH_WORKFLOW_ID_PREFIX = "batch-retry-"
RETRY_UPDATE = "retry_cancel_adjust"
"""Name of the Update that takes an ABORTED settlement back to CANCELLING."""
RESOLVE_UPDATE = "resolve"
"""Name of the Update with which one operator closes an ABORTED settlement."""
PROPOSE_UPDATE = "propose_resolution"
"""Name of the Update with which an operator proposes a resolution that needs a second operator."""
APPROVE_UPDATE = "approve_resolution"
"""Name of the Update with which the second operator approves the proposal: the settlement is RESOLVED."""
WITHDRAW_UPDATE = "withdraw_proposal"
"""Name of the Update that removes the proposal."""

SETTLEMENT_WORKFLOW = "OrderSettlement"
"""Workflow type of a settlement, used in Temporal list queries."""
SNAPSHOT_QUERY = "snapshot"
"""Name of the Query that returns a settlement's snapshot. A closed workflow answers it too, by replay."""
STATE_ATTRIBUTE = "SettlementState"
"""Search attribute with a settlement's state. Reading it needs no worker."""
RECONCILIATION_SCHEDULE = "order-settlement-reconciliation"
"""Id of the Temporal Schedule that runs the reconciliation of ledger and Temporal."""


class CancelKind(StrEnum):
    """The two cancels that one settlement may need. Each has its own requestUniqueNo."""

    FIRST = "FIRST"
    """Reverses the adjust."""
    CONFIRMING = "CONFIRMING"
    """Repeats the cancel after the quarantine, in case the adjust arrived late."""


@dataclass(frozen=True, order=True, slots=True)
class SettlementId:
    """The identity of a settlement: a requestUniqueNo is unique only within its external system."""

    system: str
    """Name of the external system that the order was accepted for."""
    number: str
    """The platform's requestUniqueNo, unchanged."""

    def __str__(self) -> str:
        """Return the id as text, such as `alpha:ORD-1`. Two different ids never have the same text."""
        return f"{self.system}:{self.number}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the id of a text: the inverse of `str`. Raises ValueError if it is not the text of a valid id."""
        system, _, number = text.partition(":")
        if not is_system_name(system) or not is_unique_no(number):
            message = "must be the name of an external system, a colon and a requestUniqueNo"
            raise ValueError(message)
        return cls(system, number)


def workflow_id(settlement: SettlementId) -> str:
    """Return the id of the settlement's workflow, such as `settlement:alpha:ORD-1`. Different ids never become equal.

    Each character of the number takes at most 3 characters, so the result has at most 188: Temporal allows 255. It
    needs no quoting in Temporal's UI and command line.
    """
    return f"{_WORKFLOW}{settlement.system}{_id_part(settlement.number, ':')}"


def settlement_of(workflow_id_: str) -> SettlementId | None:
    """Return the settlement from which `workflow_id` made this id; None if it is not the id of a settlement."""
    found = _PARTS.fullmatch(workflow_id_)
    if found is None:
        return None
    system, sign, part = found.groups()
    number = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), part) if sign == "~" else part
    settlement = SettlementId(system, number)
    is_valid = is_system_name(system) and is_unique_no(number)
    return settlement if is_valid and workflow_id_ == workflow_id(settlement) else None


def _id_part(number: str, sign: str) -> str:
    """Return a requestUniqueNo as part of an id, after `sign` if no character needs escaping, else as in `~a~2Fb`."""
    if _PLAIN.fullmatch(number):
        return f"{sign}{number}"
    return "~" + _UNSAFE.sub(lambda character: f"~{ord(character[0]):02X}", number)


def cancel_unique_no(request_unique_no: str, kind: CancelKind) -> str:
    """Return the cancel's own requestUniqueNo, always 44 characters long.

    It is a digest, not a suffix: a suffix would exceed the limit of 48 characters for a 48-character adjust number. A
    collision with a number of the platform is practically impossible.
    """
    digest = hashlib.sha256(f"{kind}:{request_unique_no}".encode()).hexdigest()
    prefix = "CA1-" if kind is CancelKind.FIRST else "CA2-"
    return prefix + digest[:40]


def new_batch_id() -> str:
    """Return a random id for a new batch. A repeated request is recognised by its idempotency key, not by this id."""
    return str(uuid.uuid4())


def is_batch_id(value: str) -> bool:
    """Return whether a value has the form of a batch id."""
    try:
        return str(uuid.UUID(value)) == value
    except ValueError:
        return False


def batch_workflow_id(batch: str) -> str:
    """Return the workflow id of a batch."""
    return f"{_BATCH_WORKFLOW_ID_PREFIX}{batch}"


def batch_update_id(batch: str, request_unique_no: str) -> str:
    """Return the id of the Update with which a batch retries a settlement. Temporal runs an Update id only once."""
    return f"batch-{batch}{_id_part(request_unique_no, '-')}"
