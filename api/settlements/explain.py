"""GET …/explain: the history of one settlement in plain language, read only from the ledger."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from fastapi import APIRouter

from api.external_systems import breaker_status
from api.http.access import Reader
from api.http.problems import documented
from api.services import Injected, Services
from api.settlements.explain_next import next_step
from api.settlements.resource import NOT_IDENTIFIED, SETTLEMENTS, SettlementInPath, find_or_404, temporal_ui_url
from schemas.explanation import MONEY_IN_WORDS, Explanation, TimelineEntry, breaker_in_words, call_in_words
from schemas.problems import ErrorCode
from settlement.calls import Rule
from settlement.external_systems import waits_for
from settlement.ids import workflow_id
from settlement.snapshot import OperatorAction, Snapshot
from settlement.start import SettlementInput
from settlement.states import State, decision_of

router = APIRouter()


@router.get(
    SETTLEMENTS + "/{requestUniqueNo}/explain",
    responses=documented(*NOT_IDENTIFIED, ErrorCode.LEDGER_UNAVAILABLE),
)
async def explain_settlement(named: SettlementInPath, services: Injected, caller: Reader) -> Explanation:
    """Explain one settlement: what was sent, what came back, which rule applied, what happens next and when.

    It works without a worker and without Temporal. The attempts of a running band of cancels appear when the band
    ends or waits.
    """
    found = await find_or_404(services, named, caller)
    settlement, snapshot = found.settlement, found.snapshot
    return Explanation(
        system=settlement.system,
        request_unique_no=settlement.adjust.requestUniqueNo,
        state=snapshot.state,
        decision=snapshot.decision,
        headline=headline(settlement, snapshot),
        money=MONEY_IN_WORDS[snapshot.state],
        timeline=tuple(timeline(settlement, snapshot)),
        next=next_step(settlement, snapshot),
        breaker=await _breaker(services, settlement, snapshot),
        temporal_ui_url=temporal_ui_url(services, workflow_id(settlement.settlement_id)),
    )


async def _breaker(services: Services, settlement: SettlementInput, snapshot: Snapshot) -> str | None:
    """Describe the circuit breaker that has kept a call from being sent; None if none has."""
    refused = any(call.verdict.rule is Rule.BREAKER_OPEN for call in snapshot.calls)
    if not refused and waits_for(settlement.system, snapshot.reason) is not Rule.BREAKER_OPEN:
        return None
    return breaker_in_words(settlement.system, await breaker_status(services, settlement.system))


def headline(settlement: SettlementInput, snapshot: Snapshot) -> str:
    """Return the order, its state and its decision in one line."""
    adjust = settlement.adjust
    order = f"{adjust.operationType} {adjust.amount} {adjust.currency}, order {adjust.orderId}"
    decision = f"the decision is {snapshot.decision}" if snapshot.decision else "no decision yet"
    return f"{order}: {snapshot.state}, {decision}."


def timeline(settlement: SettlementInput, snapshot: Snapshot) -> Iterator[TimelineEntry]:
    """Yield every event in order of time. A call has the time of its reply, or of its send if it has no duration."""
    entries = [*_calls(settlement, snapshot), *_operator_actions(snapshot), *_state_changes(snapshot)]
    yield TimelineEntry(at=settlement.accepted_at, text=_acceptance(settlement))
    yield from sorted(entries, key=lambda entry: entry.at)


def _acceptance(settlement: SettlementInput) -> str:
    by = settlement.submitted_by
    key = f" with key {by.key_id}" if by is not None and by.key_id is not None else ""
    submitted = f", submitted by {by.client}{key}" if by is not None else ""
    return f"accepted for settlement, trace {settlement.trace}{submitted}"


def _calls(settlement: SettlementInput, snapshot: Snapshot) -> Iterator[TimelineEntry]:
    money = f"{settlement.adjust.amount} {settlement.adjust.currency}"
    for call in snapshot.calls:
        yield TimelineEntry(at=_answered_at(call.sent_at, call.duration_ms), text=call_in_words(call, money))


def _answered_at(sent_at: datetime, duration_ms: int | None) -> datetime:
    return sent_at + timedelta(milliseconds=duration_ms or 0)


def _operator_actions(snapshot: Snapshot) -> Iterator[TimelineEntry]:
    for action in snapshot.actions:
        yield TimelineEntry(at=action.at, text=_action_in_words(action))


def _action_in_words(action: OperatorAction) -> str:
    reason = ", ".join(each for each in (action.reason_code, action.note) if each)
    reference = f"; broker's reference: {action.broker_reference}" if action.broker_reference else ""
    batch = f"; batch {action.batch_id}" if action.batch_id else ""
    proposal = "" if action.proposal_no is None else f"; proposal {action.proposal_no}"
    key = f" (key {action.key_id})" if action.key_id else ""
    return f"{action.operator}{key}: {action.kind} ({reason}{reference}{batch}{proposal})"


def _state_changes(snapshot: Snapshot) -> Iterator[TimelineEntry]:
    for change in snapshot.state_changes:
        decision = ""
        if change.state in {State.SETTLED, State.EXPIRED} or change == _first_cancelling(snapshot):
            decision = f"; the decision is {decision_of(change.state)}"
        yield TimelineEntry(at=change.at, text=f"→ {change.state}: {change.reason}{decision}")


def _first_cancelling(snapshot: Snapshot) -> object:
    return next((each for each in snapshot.state_changes if each.state is State.CANCELLING), None)
