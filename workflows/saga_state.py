"""All that one settlement knows, and the only place where it changes."""

from datetime import datetime
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contract.calls import CallRecord
    from contract.payloads import ActKind, OperatorAct, OperatorRequest, SettlementInput, Snapshot
    from contract.states import TRANSITIONS, CancelResult, State, decision_of

from workflows.visibility import money, show


class SagaState:
    """The current snapshot, replaced as a whole by every change; versions count the changes."""

    def __init__(self, settlement: SettlementInput, now: datetime) -> None:
        self._settlement = settlement
        self.snapshot = Snapshot(version=0, state=State.ADJUSTING, updated_at=now)
        self.retries = 0
        """How often an aborted compensation was taken up again; the number of the current round."""

    @property
    def state(self) -> State:
        """The state of the current snapshot."""
        return self.snapshot.state

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
        self._change(
            state=state,
            decision=decision_of(state),
            decided_at=self.snapshot.decided_at or workflow.now(),
            reason=reason,
            cancel_result=cancel_result,
            calls=(*self.snapshot.calls, *calls),
        )
        show(self._settlement, self.snapshot)
        if state is State.ABORTED:
            workflow.logger.error(
                "aborted: a person must act",
                extra={"settlement": self._settlement.adjust.requestUniqueNo, "money": money(self._settlement)},
            )

    def learn(self, calls: tuple[CallRecord, ...], reason: str) -> None:
        """Take calls into the audit without leaving the state."""
        self._change(calls=(*self.snapshot.calls, *calls), reason=reason)

    def act(self, kind: ActKind, request: OperatorRequest) -> None:
        """Take an act into the audit. What follows from it is the caller's affair."""
        act = OperatorAct(kind=kind, at=workflow.now(), **request.model_dump(by_alias=False))
        self._change(acts=(*self.snapshot.acts, act))

    def _change(self, **fields: Any) -> None:  # noqa: ANN401 - the fields of Snapshot, each of its own type
        version = self.snapshot.version + 1
        self.snapshot = self.snapshot.model_copy(update={**fields, "version": version, "updated_at": workflow.now()})
