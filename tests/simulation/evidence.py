"""What is held against the invariant: the views of both sides on one settlement, wherever they were read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from schemas.settlement import Settlement
from settlement.calls import CallRecord
from settlement.snapshot import OperatorAction, Snapshot, StateChange
from settlement.start import SettlementInput
from settlement.states import CancelResult, Decision, State
from simulator.book_records import NumberView
from simulator.call_journal import CallView


@dataclass(frozen=True)
class Story:
    """What one view of our side says of a settlement. Equal stories are the same story."""

    state: State
    decision: Decision | None
    cancel_result: CancelResult | None
    calls: tuple[CallRecord, ...]
    actions: tuple[OperatorAction, ...]
    state_changes: tuple[StateChange, ...]

    @classmethod
    def of_snapshot(cls, snapshot: Snapshot) -> Self:
        """Read what the workflow, or the ledger, says."""
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
        """Read what the API says."""
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
    """All that both sides say of one settlement when nothing moves any more."""

    settlement: SettlementInput
    stories: Mapping[str, Story]
    """Our side by view, such as workflow, ledger, api; at least one."""
    books: NumberView
    """The external system's books."""
    received: Sequence[CallView]
    """Every request the external system received for this number, in its order."""
    listed: frozenset[State]
    """Under which states the operators' lists show it."""
    decisions: Sequence[Decision] = field(default=())
    """Every decision that any caller was given, in order."""

    @property
    def number(self) -> str:
        """The settlement's requestUniqueNo."""
        return self.settlement.adjust.requestUniqueNo

    @property
    def story(self) -> Story:
        """The first view's story; a rule of its own holds the others against it."""
        return next(iter(self.stories.values()))
