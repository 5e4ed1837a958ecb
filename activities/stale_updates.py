"""Recognises the refusal of an Update that was signed for another number of earlier actions."""

from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from settlement.tasks import UpdateRefusal


def actions_if_stale(error: WorkflowUpdateFailedError) -> int | None:
    """Return the number of actions on the settlement if it refused an Update that was signed for another number."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type == UpdateRefusal.STALE:
        return int(cause.details[0])
    return None
