"""The input of the invariant: everything that both sides know of one settlement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from schemas.settlement import Settlement
from settlement.calls import CallRecord
from settlement.snapshot import OperatorAction, Snapshot, StateChange
from settlement.start import SettlementInput
from settlement.states import CancelResult, Decision, State
from simulator.book_records import NumberRow, NumberView
from simulator.call_journal import CallView

NEVER_RECEIVED = NumberView.of(NumberRow.unknown("ORD-1"), None, ())
"""The books of an external system that knows nothing of the order."""


@dataclass(frozen=True)
class SettlementView:
    """A settlement as workflow, ledger or API show it. All views must be equal."""

    state: State
    decision: Decision | None
    cancel_result: CancelResult | None
    calls: tuple[CallRecord, ...]
    actions: tuple[OperatorAction, ...]
    state_changes: tuple[StateChange, ...]

    @classmethod
    def of_snapshot(cls, snapshot: Snapshot) -> Self:
        """Return the view of workflow or ledger."""
        return cls(
            state=snapshot.state,
            decision=snapshot.decision,
            cancel_result=snapshot.cancel_result,
            calls=snapshot.calls,
            actions=snapshot.actions,
            state_changes=snapshot.state_changes,
        )

    @classmethod
    def of_resource(cls, resource: Settlement) -> Self:
        """Return the view of the API."""
        return cls(
            state=resource.state,
            decision=resource.decision,
            cancel_result=resource.cancel_result,
            calls=resource.calls,
            actions=resource.operator_actions,
            state_changes=resource.state_changes,
        )


@dataclass(frozen=True)
class Evidence:
    """Everything that both sides know of one settlement after all work has ended."""

    settlement: SettlementInput
    views: Mapping[str, SettlementView]
    """Our views by source, such as workflow, ledger, api; at least one."""
    books: NumberView
    """The external system's books."""
    received: Sequence[CallView]
    """Every request about this number that the external system received, in order."""
    listed: frozenset[State]
    """The states in whose lists the settlement appears."""
    decisions: Sequence[Decision] = field(default=())
    """Every decision that a caller received, in order."""

    @property
    def number(self) -> str:
        """The requestUniqueNo of the settlement."""
        return self.settlement.adjust.requestUniqueNo

    @property
    def view(self) -> SettlementView:
        """The first view's story; a rule of its own holds the others against it."""
        return next(iter(self.views.values()))
