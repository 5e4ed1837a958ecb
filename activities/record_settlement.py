"""The durable write: what the workflow knows goes into the ledger."""

from temporalio import activity

from activities.metrics import count_ledger_write
from contract.payloads import RecordTask
from ledger import Ledger


class RecordSettlement:
    """Holds the ledger that the activity writes."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @activity.defn(name="record_settlement")
    async def record_settlement(self, task: RecordTask) -> None:
        """Write a snapshot to the ledger. Repeating it, or writing an older one, changes nothing.

        Any database error is raised, for Temporal to retry for as long as the outage lasts: it delays
        the row and holds up neither the decision nor the compensation.
        """
        try:
            await self._ledger.record(task.settlement, task.snapshot)
        except Exception:
            count_ledger_write(activity.metric_meter(), ok=False)
            raise
        count_ledger_write(activity.metric_meter(), ok=True)
