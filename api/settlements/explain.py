"""GET …/explain: one settlement's story in plain language, from the ledger alone."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from fastapi import APIRouter

from api.http.access import Reader
from api.http.problems import documented
from api.services import Injected
from api.settlements.explain_next import next_step
from api.settlements.resource import SETTLEMENTS, NumberInPath, find_or_404, temporal_ui_url
from schemas.explanation import MONEY_IN_WORDS, Explanation, TimelineEntry, call_in_words
from schemas.problems import ErrorCode
from settlement.ids import workflow_id
from settlement.snapshot import OperatorAction, Snapshot
from settlement.start import SettlementInput
from settlement.states import State, decision_of

router = APIRouter()


@router.get(
    SETTLEMENTS + "/{requestUniqueNo}/explain",
    responses=documented(ErrorCode.NOT_FOUND, ErrorCode.LEDGER_UNAVAILABLE),
)
async def explain_settlement(number: NumberInPath, services: Injected, _: Reader) -> Explanation:
    """Explain one settlement: what was sent, what came back, by which rule it was classed, what happens next and when.

    Needs neither a worker nor Temporal. The attempts of a round of cancels that is under way appear when it ends.
    """
    found = await find_or_404(services, number)
    settlement, snapshot = found.settlement, found.snapshot
    return Explanation(
        request_unique_no=number,
        state=snapshot.state,
        decision=snapshot.decision,
        headline=headline(settlement, snapshot),
        money=MONEY_IN_WORDS[snapshot.state],
        timeline=tuple(timeline(settlement, snapshot)),
        next=next_step(settlement, snapshot),
        temporal_ui_url=temporal_ui_url(services, workflow_id(number)),
    )


def headline(settlement: SettlementInput, snapshot: Snapshot) -> str:
    """Say in one line what was asked for and where it stands."""
    adjust = settlement.adjust
    asked = f"{adjust.operationType} {adjust.amount} {adjust.currency}, order {adjust.orderId}"
    decided = f"the order is told {snapshot.decision}" if snapshot.decision else "nothing is decided yet"
    return f"{asked}: {snapshot.state}, {decided}."


def timeline(settlement: SettlementInput, snapshot: Snapshot) -> Iterator[TimelineEntry]:
    """Yield everything that happened, in order of time: calls by the moment of their answer, where they have one."""
    told = [*_calls(settlement, snapshot), *_acts(snapshot), *_changes(snapshot)]
    yield TimelineEntry(at=settlement.accepted_at, text=f"accepted for settlement, trace {settlement.trace}")
    yield from sorted(told, key=lambda entry: entry.at)


def _calls(settlement: SettlementInput, snapshot: Snapshot) -> Iterator[TimelineEntry]:
    money = f"{settlement.adjust.amount} {settlement.adjust.currency}"
    for call in snapshot.calls:
        yield TimelineEntry(at=_answered_at(call.sent_at, call.duration_ms), text=call_in_words(call, money))


def _answered_at(sent_at: datetime, duration_ms: int | None) -> datetime:
    return sent_at + timedelta(milliseconds=duration_ms or 0)


def _acts(snapshot: Snapshot) -> Iterator[TimelineEntry]:
    for act in snapshot.actions:
        yield TimelineEntry(at=act.at, text=_act_in_words(act))


def _act_in_words(act: OperatorAction) -> str:
    why = ", ".join(each for each in (act.reason_code, act.note) if each)
    reference = f"; broker's reference: {act.broker_reference}" if act.broker_reference else ""
    batch = f"; batch {act.batch_id}" if act.batch_id else ""
    return f"{act.operator}: {act.kind} ({why}{reference}{batch})"


def _changes(snapshot: Snapshot) -> Iterator[TimelineEntry]:
    for change in snapshot.state_changes:
        told = ""
        if change.state in {State.SETTLED, State.EXPIRED} or change == _first_void(snapshot):
            told = f"; the decision is {decision_of(change.state)}"
        yield TimelineEntry(at=change.at, text=f"→ {change.state}: {change.reason}{told}")


def _first_void(snapshot: Snapshot) -> object:
    return next((each for each in snapshot.state_changes if each.state is State.CANCELLING), None)
