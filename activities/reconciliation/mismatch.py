"""What the examination of one settlement found, and the take-up that can repair it."""

from dataclasses import dataclass

from activities.reconciliation.diagnose import Diagnosis, Execution
from ledger import SettlementRecord
from settlement.ids import SettlementId
from settlement.reconciliation import FindingKind
from settlement.snapshot import Snapshot
from settlement.states import END_STATES


@dataclass(frozen=True)
class ExamineResult:
    """Result of examining one settlement: the kind of mismatch (None: no mismatch), and whether it was repaired."""

    kind: FindingKind | None = None
    repaired: bool = False


@dataclass(frozen=True)
class Mismatch:
    """A settlement with a mismatch."""

    settlement_id: SettlementId
    execution: Execution | None
    workflow_snapshot: Snapshot | None
    """The workflow's snapshot; None if it was not queried or did not answer."""
    diagnosis: Diagnosis


@dataclass
class PlannedTakeUp:
    """A take-up that can be done: the ledger's record, and the newest known snapshot."""

    accepted: SettlementRecord
    known: Snapshot
    may_be_started: bool = False
    """Whether the workflow may have been started: its start was requested, and Temporal did not reject it."""

    @property
    def needs_workflow(self) -> bool:
        """Whether a workflow must be started. If the end is known, only the ledger must be updated."""
        return self.known.state not in END_STATES
