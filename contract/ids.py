"""Every identifier that is derived from a settlement's requestUniqueNo or a batch's id, in one place.

Derived, so that a replay, a retried activity and an operator's retry all repeat them exactly. Only a batch's own
id is random.
"""

import hashlib
import uuid
from enum import StrEnum

_WORKFLOW_ID_PREFIX = "settlement-"
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
    """Return the id of the settlement's workflow; the same number always gives the same id."""
    return f"{_WORKFLOW_ID_PREFIX}{request_unique_no}"


def number_of(workflow: str) -> str | None:
    """Return the settlement's number that a workflow's id was made from; None: no settlement's id looks like this."""
    return workflow.removeprefix(_WORKFLOW_ID_PREFIX) if workflow.startswith(_WORKFLOW_ID_PREFIX) else None


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
    return f"batch-{batch}-{request_unique_no}"
