"""Identifiers of workflows, cancels and Updates, derived from a settlement's requestUniqueNo or a batch's id.

Because they are derived, a replay, a retried activity and an operator's retry produce exactly the same ids. Only a
batch's own id is random.
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


def workflow_id(request_unique_no: str) -> str:
    """Return the id of the settlement's workflow. Two different numbers never have the same id."""
    return _WORKFLOW + _id_part(request_unique_no)


def request_unique_no_of(workflow_id_: str) -> str | None:
    """Return the requestUniqueNo from which `workflow_id` made this id; None if it is not the id of a settlement."""
    part = workflow_id_.removeprefix(_WORKFLOW)
    number = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), part[1:]) if part[:1] == "~" else part[1:]
    return number if workflow_id_ == workflow_id(number) else None


def _id_part(number: str) -> str:
    """Return a requestUniqueNo as part of an id: `-ORD-1` if no character needs escaping, else escaped as in `~a~2Fb`.

    Each character of the number takes at most 3 characters of the id: Temporal allows ids of up to 255. The result
    needs no quoting in Temporal's UI and command line.
    """
    if _PLAIN.fullmatch(number):
        return f"-{number}"
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
    return f"batch-{batch}{_id_part(request_unique_no)}"
