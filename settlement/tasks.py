"""Inputs and results of the settlement's activities and Updates.

Workflow histories contain these types. CONTRIBUTING.md says how they may change.
"""

from datetime import datetime
from enum import StrEnum

from contract.adjust import AdjustBody
from contract.model import Model
from settlement.calls import CallRecord
from settlement.ids import SettlementId, cancel_unique_no
from settlement.snapshot import CancelIntent, Snapshot
from settlement.start import SettlementInput
from settlement.states import CancelResult, State

SYSTEM_NOT_CALLABLE = "SystemNotCallable"
"""Type of the failure of `cancel_adjust` while its external system cannot be called. Nothing was sent, and no attempt
is used up. Its details are the records of the earlier attempts, and the rule that says why it cannot be called."""

CANCEL_IN_PROCESS = "CancelInProcess"
"""Type of the failure of `cancel_adjust` if the broker still processes the cancel. The last call used no attempt. Its
details are the records of all calls of the activity."""
CANCEL_REFUSED = "CancelRefused"
"""Type of the failure of `cancel_adjust` if the broker refuses the cancel for good. Its details are the records of all
calls of the activity."""


class AdjustTask(Model):
    """Input of the activity `adjust`: what it needs of the accepted order."""

    adjust: AdjustBody
    trace: str
    company_id: int | None = None
    system: str
    expires_at: datetime
    """The time from which the adjust is no longer sent."""

    @classmethod
    def of(cls, settlement: SettlementInput) -> "AdjustTask":
        """Return the task of an accepted order."""
        return cls(
            adjust=settlement.adjust,
            trace=settlement.trace,
            company_id=settlement.company_id,
            system=settlement.system,
            expires_at=settlement.expires_at,
        )

    @property
    def settlement_id(self) -> SettlementId:
        """The identity of the settlement: external system and requestUniqueNo."""
        return SettlementId(self.system, self.adjust.requestUniqueNo)


class CancelTask(Model):
    """Input of the activity `cancel_adjust`: one band of one round of one cancel. All its attempts have the same input.

    A band that had to wait continues in another activity.
    """

    settlement: SettlementInput
    intent: CancelIntent
    round: int
    attempts_made: int = 0
    """Attempts of this round that earlier activities made."""
    in_process: int = 0
    """Replies "still in process" of this round that used no attempt."""

    @property
    def request_unique_no(self) -> str:
        """The cancel's own requestUniqueNo. It is derived, so every round of this cancel sends the same number."""
        return cancel_unique_no(self.settlement.adjust.requestUniqueNo, self.intent.kind)


class CancelReport(Model):
    """Result of the activity `cancel_adjust`: the result of the cancel, and the records of all attempts."""

    result: CancelResult
    calls: tuple[CallRecord, ...]


class UpdateResult(Model):
    """Result of an operator's Update. Read the whole settlement from the ledger, or with the Query `snapshot`."""

    state: State
    version: int
    """Version of the snapshot that contains the operator's action."""


class UpdateRefusal(StrEnum):
    """Type of the error with which a settlement refuses an operator's Update. It did not change."""

    WRONG_STATE = "WRONG_STATE"
    """The settlement is not ABORTED, or does not have this proposal."""
    INVALID_REQUEST = "INVALID_REQUEST"
    """A field breaks its rule."""
    FOUR_EYES = "FOUR_EYES"
    """Above the four-eyes amount a resolution must be proposed; at or below it, it need not be."""
    SAME_OPERATOR = "SAME_OPERATOR"
    """The client that proposed the resolution cannot approve it."""
    UNVERIFIED = "UNVERIFIED"
    """The Update has no signature, and needs one."""
    FORGED = "FORGED"
    """The signature is not valid: API and worker have different keys, or the Update was copied or changed."""
    STALE = "STALE"
    """Another action came first. The error's detail is the number of actions now."""


class RecordTask(Model):
    """Input of the activities `record_settlement` and `record_at_once`: the changes since the last recorded write."""

    settlement_id: SettlementId
    since_version: int
    """Version that the workflow knows to be in the ledger; 0 if none."""
    snapshot: Snapshot
    """Contains only those audit entries that the ledger does not have yet."""
    settlement: SettlementInput | None = None
    """Given if `since_version` is 0, so that a lost row can be written again."""


class RecordResult(StrEnum):
    """Result of the activities `record_settlement` and `record_at_once`."""

    RECORDED = "RECORDED"
    """The ledger has recorded this snapshot."""
    NOT_NEWER = "NOT_NEWER"
    """Another write has already recorded a newer version, or this version in another state."""
    LEDGER_BEHIND = "LEDGER_BEHIND"
    """The ledger has an older version than `since_version` (a backup was restored). Write again with version 0."""
    DECISION_CONFLICT = "DECISION_CONFLICT"
    """The ledger has the opposite decision. Nothing was written; a finding asks an operator to act."""
    NO_ANSWER = "NO_ANSWER"
    """`record_at_once` only: the ledger did not answer in time, or failed. The snapshot may have been written."""
