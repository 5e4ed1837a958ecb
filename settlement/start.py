"""The input of a settlement's workflow: the accepted order, and the snapshot of an earlier run if there was one.

Workflow histories contain these types. CONTRIBUTING.md says how they may change.
"""

from datetime import datetime, timedelta

from contract.adjust import AdjustBody
from contract.model import Model
from settlement.amounts import is_above
from settlement.ids import SettlementId
from settlement.policy import SettlementPolicy
from settlement.snapshot import AuditCounts, Snapshot
from settlement.states import State

DEFAULT_SYSTEM = "default"
"""Name of the external system if the settings describe only one."""


class SubmittedBy(Model):
    """Who submitted an order: the client of the API key, and the key's id."""

    client: str
    """`local` if the API requires no keys."""
    key_id: str | None = None
    """None if the API requires no keys."""


class SettlementInput(Model):
    """One accepted order: part of the workflow's argument."""

    adjust: AdjustBody
    trace: str
    """Value of the header `trace` in every external call of this settlement."""
    company_id: int | None = None
    system: str = DEFAULT_SYSTEM
    """Name of the external system that settles it. Its address and secrets are read from the configuration per call."""
    accepted_at: datetime
    policy: SettlementPolicy
    four_eyes_above: str | None = None
    """Above this amount, in the currency of the order, a resolution needs a second operator. None: it never does."""
    submitted_by: SubmittedBy | None = None
    """None only for an order that was not submitted through the API."""

    @property
    def settlement_id(self) -> SettlementId:
        """Its identity: external system and requestUniqueNo."""
        return SettlementId(self.system, self.adjust.requestUniqueNo)

    @property
    def expires_at(self) -> datetime:
        """The time from which the adjust is no longer sent."""
        return self.accepted_at + timedelta(seconds=self.policy.expire_after_s)

    @property
    def needs_second_operator(self) -> bool:
        """Whether a resolution must be proposed by one operator and approved by another."""
        return is_above(self.adjust.amount, self.four_eyes_above)


def accepted_snapshot(settlement: SettlementInput) -> Snapshot:
    """Return the snapshot of a settlement that was accepted and has no call yet: version 0, ADJUSTING."""
    return Snapshot(version=0, state=State.ADJUSTING, reason="accepted", updated_at=settlement.accepted_at)


class TakeUp(Model):
    """The starting point of a workflow that replaces a lost one."""

    snapshot: Snapshot
    reason: str
    """How the previous workflow was lost; without personal data."""
    lost_at: datetime | None = None
    """When the previous workflow ended, by Temporal's clock. None if not known: it may have run until now."""


class Carried(Model):
    """The state that one run of a workflow passes to its next run (continue-as-new)."""

    snapshot: Snapshot
    round: int
    """Number of the last round of cancel attempts."""
    attempts_made: int = 0
    """Attempts of that round, if the run ended while the round waited for the configuration of its external system."""
    in_process: int = 0
    """Replies "still in process" of that round that used no attempt."""
    recorded_version: int
    """Version of the last snapshot that the ledger has recorded."""
    recorded: AuditCounts
    """Number of audit entries that the ledger has recorded."""


class SettlementStart(SettlementInput):
    """Argument of the workflow `OrderSettlement`: the order, and the snapshot of an earlier run if there was one.

    It must stay the only argument: the SDK uses the type hints only if their number equals the number of arguments in
    the history.
    """

    taken_up: TakeUp | None = None
    carried: Carried | None = None


def known_at_start(start: SettlementStart) -> Snapshot:
    """Return the snapshot with which a run of the workflow begins."""
    before = start.carried or start.taken_up
    return before.snapshot if before else accepted_snapshot(start)


def accepted_input(start: SettlementStart) -> SettlementInput:
    """Return the accepted order without the snapshot of an earlier run."""
    return SettlementInput(**{name: getattr(start, name) for name in SettlementInput.model_fields})
