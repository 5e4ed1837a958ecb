"""When a workflow continues as new: long before the server would end it for its history."""

from temporalio import workflow

HISTORY_EVENTS_MAX = 2_000
HISTORY_BYTES_MAX = 1_000_000
"""Size of a history from which on the workflow continues as new where it can: one more round of cancels and its ledger
write fit in below a tenth of the server's limits (51,200 events, 50 MiB)."""


def is_long() -> bool:
    """Tell whether the history of this run has become long, by our own limits or the server's suggestion."""
    info = workflow.info()
    return (
        info.is_continue_as_new_suggested()
        or info.get_current_history_length() >= HISTORY_EVENTS_MAX
        or info.get_current_history_size() >= HISTORY_BYTES_MAX
    )
