"""Write down what a round of reconciliation looked at and what came of it."""

from temporalio import activity

from contract.reconciliation import RoundEnd
from ledger import Findings


class RecordRound:
    """Holds the record of rounds."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    @activity.defn(name="record_round")
    async def record_round(self, end: RoundEnd) -> None:
        """Write a round into the ledger's database. Repeating it changes nothing. Any database error is raised."""
        await self._findings.record_round(end.ended, end.listed_to)
