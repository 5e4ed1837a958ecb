"""What a settlement's workflow is started with: the accepted order, and what an earlier run knew of it.

These types live on in workflow histories. CONTRIBUTING.md says how they may change.
"""

from datetime import datetime, timedelta

from contract.adjust import AdjustBody
from contract.model import Model
from settlement.policy import SettlementPolicy
from settlement.snapshot import AuditCounts, Snapshot
from settlement.states import State


class SettlementInput(Model):
    """One accepted order: argument of the workflow and input of the activity `adjust`."""

    adjust: AdjustBody
    trace: str
    """Sent as the header `trace` of every call of this settlement."""
    company_id: int | None = None
    accepted_at: datetime
    policy: SettlementPolicy

    @property
    def expires_at(self) -> datetime:
        """From this moment on the adjust is not sent any more."""
        return self.accepted_at + timedelta(seconds=self.policy.expire_after_s)


def accepted_snapshot(settlement: SettlementInput) -> Snapshot:
    """Return what is known of a settlement when it is accepted and nothing has happened yet."""
    return Snapshot(version=0, state=State.ADJUSTING, reason="accepted", updated_at=settlement.accepted_at)


class TakeUp(Model):
    """What a settlement's workflow goes on from when its predecessor was lost."""

    snapshot: Snapshot
    reason: str
    """How the workflow before was lost; without personal data."""
    lost_at: datetime | None = None
    """When it was ended, by Temporal's clock; None: nobody knows, so it may have gone on until now."""


class Carried(Model):
    """What one run of a settlement's workflow hands to the next when its history has become long."""

    snapshot: Snapshot
    round: int
    """Number of the last round of cancel attempts."""
    recorded_version: int
    """Version of the snapshot that the ledger has taken."""
    recorded: AuditCounts
    """Entries of the audit that the ledger has taken."""


class SettlementStart(SettlementInput):
    """Argument of the workflow `OrderSettlement`: the order, and what an earlier run knew of it.

    One argument, for ever: the SDK reads types only where their number fits what a history holds.
    """

    taken_up: TakeUp | None = None
    carried: Carried | None = None


def known_at_start(start: SettlementStart) -> Snapshot:
    """Return what is known of a settlement when a run of its workflow begins."""
    before = start.carried or start.taken_up
    return before.snapshot if before else accepted_snapshot(start)


def accepted_input(start: SettlementStart) -> SettlementInput:
    """Return the accepted order alone, without what an earlier run knew of it."""
    return SettlementInput(**{name: getattr(start, name) for name in SettlementInput.model_fields})
