"""Converts an end state of the interleavings model to the evidence that the invariant checks."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache

from contract.operations import Operation
from settlement.calls import CallRecord, Rule, Verdict
from settlement.ids import CancelKind
from settlement.snapshot import ActionKind, OperatorAction, StateChange
from settlement.start import SettlementInput
from settlement.states import State, decision_of
from settlement.unreported_calls import IN_FLIGHT, with_unreported
from simulator.book_records import NumberView
from simulator.call_journal import CallView
from tests.simulation.books_model import ADJUST, NUMBER, TASKS, Message
from tests.simulation.evidence import Evidence, SettlementView
from tests.simulation.model_state import ModelState

AT = datetime(2026, 1, 5, tzinfo=UTC)
RESOLVED = OperatorAction(kind=ActionKind.RESOLVE, at=AT, operator="ops", note="by hand")


def evidence_of(at: ModelState, settlement: SettlementInput, books: NumberView) -> Evidence:
    """Return the evidence of an end state."""
    view = SettlementView(
        state=at.state,
        decision=decision_of(at.state),
        cancel_result=at.result,
        calls=tuple(_calls(at)),
        actions=(RESOLVED,) if at.state is State.RESOLVED else (),
        state_changes=tuple(StateChange(state=state, at=AT, reason="") for state in at.path[1:]),
    )
    return Evidence(
        settlement=settlement,
        views={"model": view},
        books=books,
        received=[_received(message, n) for n, message in enumerate(at.sent)],
        listed=frozenset({at.state}),
    )


@cache
def audit(heard: tuple[int, ...], kind: CancelKind, attempts: int) -> tuple[CallRecord, ...]:
    """Return the audit of a round, by the rule of the product."""
    records = tuple(_record(kind, attempt) for attempt in heard)
    return with_unreported(records, TASKS[kind], attempts, Operation.CANCEL_ADJUST, AT)


def _record(kind: CancelKind, attempt: int) -> CallRecord:
    """Return the record of an attempt in its heartbeat."""
    return CallRecord(
        operation=Operation.CANCEL_ADJUST,
        kind=kind,
        request_unique_no=TASKS[kind].request_unique_no,
        attempt=attempt,
        sent_at=AT,
        verdict=IN_FLIGHT,
    )


def _calls(at: ModelState) -> Iterator[CallRecord]:
    """Yield the audit of an end state. The last record has the cancel result, if there is one."""
    if at.adjust is not None:
        verdict = Verdict(outcome=at.adjust, rule=Rule.CODE_SUCCESS)
        yield CallRecord(operation=Operation.ADJUST, request_unique_no=NUMBER, sent_at=AT, verdict=verdict)
    for n, (kind, records) in enumerate(at.audited, start=1):
        for attempt in range(1, records + 1):
            last = n == len(at.audited) and attempt == records
            yield _record(kind, attempt).model_copy(update={"cancel_result": at.result if last else None})


@cache
def _received(message: Message, n: int) -> CallView:
    """Return the journal entry of a send."""
    number = NUMBER if message == ADJUST else TASKS[CancelKind(message)].request_unique_no
    return CallView(
        id=n,
        operation=Operation.ADJUST if message == ADJUST else Operation.CANCEL_ADJUST,
        request_unique_no=number,
        reverse_request_unique_no=None,
        received_at_ns=0,
        trace="t",
        company_id=None,
        timestamp=str(n),
        body="{}",
        fault=None,
        http_status=None,
        reply_code=None,
        ended_at_ns=None,
        ended=None,
    )
