"""The state of one saga: its current snapshot, and the only code that changes it."""

from typing import Any

from temporalio import workflow

from settlement.audit_window import within_window
from settlement.calls import CallRecord
from settlement.ids import CancelKind
from settlement.snapshot import (
    BEGINS_A_ROUND,
    ActionKind,
    AuditCounts,
    CancelIntent,
    OperatorAct,
    OperatorAction,
    ResolutionProposal,
    Snapshot,
    StateChange,
)
from settlement.start import SettlementInput
from settlement.states import TRANSITIONS, CancelResult, State, decision_of
from settlement.tasks import UpdateResult
from workflows.metrics import count_change
from workflows.visibility import money, show


class SagaState:
    """Holds the current snapshot. Every change replaces the whole snapshot and adds 1 to its version."""

    def __init__(self, settlement: SettlementInput, known: Snapshot, round_: int | None = None) -> None:
        self._settlement = settlement
        self.snapshot = known
        self.round = _next_round(known) if round_ is None else round_
        """The number of the current round of cancel attempts."""
        self.decision_conflict = False
        """Whether the ledger has the opposite decision."""
        self._decided: Snapshot | None = None

    @property
    def state(self) -> State:
        """The state of the current snapshot."""
        return self.snapshot.state

    @property
    def decided(self) -> Snapshot:
        """The snapshot at the decision, which stays small; the current snapshot if an earlier run decided."""
        return self._decided or self.snapshot

    def enter(
        self,
        state: State,
        reason: str,
        *,
        calls: tuple[CallRecord, ...] = (),
        cancel_result: CancelResult | None = None,
    ) -> None:
        """Enter another state. Raises RuntimeError for a transition that `TRANSITIONS` does not allow."""
        if state not in TRANSITIONS[self.state]:
            message = f"transition from {self.state} to {state} is not allowed"
            raise RuntimeError(message)
        change = StateChange(state=state, at=workflow.now(), reason=reason)
        self._change(
            state=state,
            decision=decision_of(state),
            decided_at=self.snapshot.decided_at or workflow.now(),
            reason=reason,
            cancel_result=cancel_result,
            calls=(*self.snapshot.calls, *calls),
            state_changes=(*self.snapshot.state_changes, change),
        )
        if self._decided is None:
            self._decided = self.snapshot
        self.show()
        if state is State.ABORTED:
            workflow.logger.error(
                "aborted: an operator must act",
                extra={"settlement": str(self._settlement.settlement_id), "money": money(self._settlement)},
            )

    def show(self) -> None:
        """Update what the Temporal UI shows from the snapshot."""
        show(self._settlement, self.snapshot, decision_conflict=self.decision_conflict)

    def show_decision_conflict(self) -> None:
        """From now on show in the Temporal UI that the ledger has the opposite decision."""
        self.decision_conflict = True
        self.show()

    def record_calls(self, calls: tuple[CallRecord, ...], reason: str) -> None:
        """Add calls to the audit; the state stays the same."""
        self._change(calls=(*self.snapshot.calls, *calls), reason=reason)

    def record_action(self, kind: ActionKind, act: OperatorAct) -> None:
        """Add an operator action to the audit; the caller changes the state."""
        action = OperatorAction(kind=kind, at=workflow.now(), **act.model_dump())
        self._change(actions=(*self.snapshot.actions, action))

    def set_proposal(self, proposal: ResolutionProposal | None) -> None:
        """Replace or clear the proposed resolution, and update what the Temporal UI shows."""
        if proposal != self.snapshot.proposal:
            self._change(proposal=proposal)
            self.show()

    def cancel_intent(self, kind: CancelKind) -> CancelIntent | None:
        """Return the cancel intent of this kind; None if this cancel has not begun."""
        return next((intent for intent in self.snapshot.cancel_intents if intent.kind is kind), None)

    def record_intent(self, intent: CancelIntent) -> None:
        """Add a cancel intent before its cancel is sent: a later run must send the same request."""
        self._change(cancel_intents=(*self.snapshot.cancel_intents, intent))

    def update_result(self) -> UpdateResult:
        """Return the result of an operator's Update: the current state and version."""
        return UpdateResult(state=self.state, version=self.snapshot.version)

    def leave_out(self, recorded: AuditCounts) -> None:
        """Drop the oldest entries of a long audit that the ledger has recorded. State and version stay the same."""
        self.snapshot = within_window(self.snapshot, recorded)

    def _change(self, **fields: Any) -> None:  # noqa: ANN401 - the fields of Snapshot, each of its own type
        before = self.snapshot
        version = before.version + 1
        self.snapshot = before.model_copy(update={**fields, "version": version, "updated_at": workflow.now()})
        count_change(self._settlement, before, self.snapshot)


def _next_round(known: Snapshot) -> int:
    """Return the number of the next round: above every round that has calls or was asked for."""
    with_calls = max((call.round + 1 for call in known.calls), default=0)
    left_out = known.left_out.actions - known.left_out.actions_without_round
    asked_for = left_out + sum(action.kind in BEGINS_A_ROUND for action in known.actions)
    return max(with_calls, asked_for + 1 if known.calls or known.cancel_intents else asked_for)
