"""All that one settlement knows, and the only place where it changes."""

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from settlement.audit_window import within_window
    from settlement.calls import CallRecord
    from settlement.ids import CancelKind
    from settlement.snapshot import (
        ActionKind,
        AuditCounts,
        CancelIntent,
        OperatorAction,
        OperatorRequest,
        Snapshot,
        StateChange,
    )
    from settlement.start import SettlementInput
    from settlement.states import TRANSITIONS, CancelResult, State, decision_of
    from settlement.tasks import UpdateResult

from workflows.metrics import count_change
from workflows.visibility import money, show

_BEGINS_A_ROUND = frozenset({ActionKind.RETRY_CANCEL_ADJUST, ActionKind.WORKFLOW_CANCELLATION, ActionKind.TAKE_UP})


class SagaState:
    """The current snapshot, replaced as a whole by every change; versions count the changes."""

    def __init__(self, settlement: SettlementInput, known: Snapshot, round_: int | None = None) -> None:
        self._settlement = settlement
        self.snapshot = known
        self.round = _next_round(known) if round_ is None else round_
        """The number of the current round of cancel attempts."""
        self._decision_conflict = False
        self._continued = round_ is not None
        self._decided: Snapshot | None = None

    @property
    def state(self) -> State:
        """The state of the current snapshot."""
        return self.snapshot.state

    @property
    def decided(self) -> Snapshot:
        """The snapshot in which the decision was taken: small, and the same whenever it is asked for.

        The current one if another run took the decision.
        """
        return self._decided or self.snapshot

    def enter(
        self,
        state: State,
        reason: str,
        *,
        calls: tuple[CallRecord, ...] = (),
        cancel_result: CancelResult | None = None,
    ) -> None:
        """Go to another state. Raises RuntimeError for a step that `TRANSITIONS` does not allow."""
        if state not in TRANSITIONS[self.state]:
            message = f"no way from {self.state} to {state}"
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
                "aborted: a person must act",
                extra={"settlement": self._settlement.adjust.requestUniqueNo, "money": money(self._settlement)},
            )

    def show(self) -> None:
        """Bring what the Temporal UI shows up to the snapshot."""
        show(self._settlement, self.snapshot, decision_conflict=self._decision_conflict, continued=self._continued)

    def show_decision_conflict(self) -> None:
        """Say in the Temporal UI that the ledger has the opposite decision, from now on."""
        self._decision_conflict = True
        self.show()

    def learn(self, calls: tuple[CallRecord, ...], reason: str) -> None:
        """Take calls into the audit without leaving the state."""
        self._change(calls=(*self.snapshot.calls, *calls), reason=reason)

    def act(self, kind: ActionKind, request: OperatorRequest) -> None:
        """Take an act into the audit. What follows from it is the caller's affair."""
        act = OperatorAction(kind=kind, at=workflow.now(), **request.model_dump())
        self._change(actions=(*self.snapshot.actions, act))

    def cancel_intent(self, kind: CancelKind) -> CancelIntent | None:
        """Return the cancel of a kind if it was begun, however long ago."""
        return next((act for act in self.snapshot.cancel_intents if act.kind is kind), None)

    def begin(self, act: CancelIntent) -> None:
        """Take a cancel into what is known before it is sent: a successor must send the same request."""
        self._change(cancel_intents=(*self.snapshot.cancel_intents, act))

    def update_result(self) -> UpdateResult:
        """Return what an operator's Update answers: where the settlement stands now."""
        return UpdateResult(state=self.state, version=self.snapshot.version)

    def leave_out(self, recorded: AuditCounts) -> None:
        """Keep of what the ledger has only the newest entries of a long audit; nothing changes for a reader."""
        self.snapshot = within_window(self.snapshot, recorded)

    def _change(self, **fields: Any) -> None:  # noqa: ANN401 - the fields of Snapshot, each of its own type
        before = self.snapshot
        version = before.version + 1
        self.snapshot = before.model_copy(update={**fields, "version": version, "updated_at": workflow.now()})
        count_change(self._settlement, before, self.snapshot)


def _next_round(known: Snapshot) -> int:
    """Return the number of the next round: above every one that was made, or begun and lost with its worker."""
    made = max((call.round + 1 for call in known.calls), default=0)
    # Those that are left out have begun a round each: no other act leaves a settlement open.
    asked_for = known.left_out.actions + sum(act.kind in _BEGINS_A_ROUND for act in known.actions)
    return max(made, asked_for + 1 if known.calls or known.cancel_intents else asked_for)
