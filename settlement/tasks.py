"""Inputs and results of the settlement's activities and Updates.

These types live on in workflow histories. CONTRIBUTING.md says how they may change.
"""

from enum import StrEnum

from contract.model import Model
from settlement.calls import CallRecord
from settlement.ids import cancel_unique_no
from settlement.snapshot import CancelIntent, Snapshot
from settlement.start import SettlementInput
from settlement.states import CancelResult, State


class CancelTask(Model):
    """Input of the activity `cancel_adjust`: one round of one cancel. Every attempt of the round has the same input."""

    settlement: SettlementInput
    intent: CancelIntent
    round: int

    @property
    def request_unique_no(self) -> str:
        """The cancel's own number. It is derived, so every round of this cancel sends the same number."""
        return cancel_unique_no(self.settlement.adjust.requestUniqueNo, self.intent.kind)


class CancelReport(Model):
    """Result of the activity `cancel_adjust`: how the cancel ended, and every attempt that led there."""

    result: CancelResult
    calls: tuple[CallRecord, ...]


class UpdateResult(Model):
    """Result of an operator's Update. The whole settlement is read from the ledger, or by the Query `snapshot`."""

    state: State
    version: int
    """Of the snapshot that contains the act."""


class RecordTask(Model):
    """Input of the activity `record_settlement`: what is new since the last write that the ledger has taken."""

    request_unique_no: str
    since_version: int
    """Version that the ledger has by the workflow's knowledge; 0: none is known."""
    snapshot: Snapshot
    """Of the audit only the entries that the ledger does not have yet."""
    settlement: SettlementInput | None = None
    """Given with `since_version` 0: a row that the ledger has lost is written anew."""


class RecordResult(StrEnum):
    """Result of the activity `record_settlement`."""

    RECORDED = "RECORDED"
    """The ledger has taken this snapshot."""
    NOT_NEWER = "NOT_NEWER"
    """The ledger has this version, or a newer one, by another write; this one was not needed."""
    LEDGER_BEHIND = "LEDGER_BEHIND"
    """The ledger has less than `since_version` says (a backup was restored): write again, from 0."""
    DECISION_CONFLICT = "DECISION_CONFLICT"
    """The ledger has the opposite decision. Nothing was written; a finding asks an operator to look."""
