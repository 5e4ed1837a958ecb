"""The explanation says what happened, why, what it means for the money, and what happens next and when."""

from datetime import UTC, datetime, timedelta

import pytest

from api.settlements.explain import timeline
from api.settlements.explain_next import next_step, round_lasts_at_most
from schemas.explanation import CANCEL_RESULT_IN_WORDS, MONEY_IN_WORDS, PHASE_IN_WORDS, RULE_IN_WORDS, call_in_words
from settlement.calls import Phase, Rule, Verdict
from settlement.external_systems import waiting_reason
from settlement.ids import CancelKind, cancel_unique_no
from settlement.round_position import utc_text
from settlement.snapshot import ActionKind, CancelIntent, OperatorAction, Snapshot, StateChange
from settlement.start import SettlementInput, accepted_snapshot
from settlement.states import CancelResult, State
from tests.api.api_harness import SETTLEMENTS, ApiHarness, accept
from tests.api.snapshots import full_audit_snapshot, rejected_snapshot, snapshot_in
from tests.support import lost
from tests.support.orders import QUICK_POLICY, SPARSE_POLICY, settlement
from tests.support.scripted import BUSY, IN_PROCESS, REFUSED, REVERSED, UNKNOWN


def test_every_rule_phase_result_and_state_has_words() -> None:
    assert set(RULE_IN_WORDS) == set(Rule)
    assert set(PHASE_IN_WORDS) == set(Phase)
    assert set(CANCEL_RESULT_IN_WORDS) == set(CancelResult)
    assert set(MONEY_IN_WORDS) == set(State)


async def test_the_history_is_complete_and_in_order_of_time(api_without_temporal: ApiHarness) -> None:
    order = settlement()
    number = await accept(api_without_temporal.ledger, order, full_audit_snapshot(order))
    explanation = (await api_without_temporal.http.get(f"{SETTLEMENTS}/{number}/explain")).json()
    first, confirming = (cancel_unique_no(number, kind) for kind in CancelKind)
    texts = [entry["text"] for entry in explanation["timeline"]]
    expected = [
        "accepted for settlement",
        "CANCELLING: adjust UNKNOWN (DEADLINE); the decision is VOID",
        f"number {first}, attempt 1",
        "ABORTED",
        "night-shift: RETRY_CANCEL_ADJUST (broker is back)",
        f"adjust 12.50 USD, number {number}: no complete reply arrived within the deadline (after 3001 ms",
        f"number {first}, attempt 2 of round 2",
        f"number {confirming}, attempt 1",
        "day-shift: RESOLVE (by hand; broker's reference: ticket 17)",
    ]
    for part in expected:
        assert any(part in text for text in texts), part
    times = [datetime.fromisoformat(entry["at"]) for entry in explanation["timeline"][1:]]
    assert times == sorted(times)
    assert (explanation["state"], explanation["decision"]) == ("CANCELLED", "VOID")
    assert explanation["money"] == MONEY_IN_WORDS[State.CANCELLED]
    assert (explanation["next"]["who"], explanation["next"]["at"]) == ("nobody", None)


async def test_a_rejection_shows_the_brokers_message_and_processing_time(api_without_temporal: ApiHarness) -> None:
    order = settlement()
    number = await accept(api_without_temporal.ledger, order, rejected_snapshot(order))
    text = (await api_without_temporal.http.get(f"{SETTLEMENTS}/{number}/explain")).json()["timeline"][1]["text"]
    assert "HTTP status 200, bizCode PAY, code E17, msg no credit: 12.50 of 10.00)" in text
    assert "reports a processing time of 12 ms (tm); the other 2989 ms were spent in the network" in text


@pytest.mark.parametrize("state", State)
async def test_every_state_is_explained_without_temporal(api_without_temporal: ApiHarness, state: State) -> None:
    order = settlement()
    snapshot = None if state is State.ADJUSTING else snapshot_in(order, state)
    number = await accept(api_without_temporal.ledger, order, snapshot)
    explanation = (await api_without_temporal.http.get(f"{SETTLEMENTS}/{number}/explain")).json()
    assert state in explanation["headline"]
    assert explanation["headline"].startswith("OPEN_POSITION 12.50 USD, order 4711")


async def test_unknown_number_is_not_found(api_without_temporal: ApiHarness) -> None:
    assert (await api_without_temporal.http.get(f"{SETTLEMENTS}/N-unknown/explain")).status_code == 404


def test_no_personal_data_is_shown() -> None:
    order = settlement(metadata='{"note":"Rosebud"}')
    text = " ".join(entry.text for entry in timeline(order, full_audit_snapshot(order)))
    for personal in (order.adjust.userName, order.adjust.thirdServerCode, order.adjust.ip, "Rosebud"):
        assert personal not in text


def test_the_decision_is_due_at_the_expiry_plus_the_limit_of_one_call() -> None:
    order = settlement()
    step = next_step(order, accepted_snapshot(order))
    assert (step.who, step.at) == ("automation", order.accepted_at + timedelta(seconds=QUICK_POLICY.expire_after_s + 6))


def test_a_round_of_cancels_is_due_after_all_its_attempts_and_waits() -> None:
    """Three attempts of at most 6 s, with 1 s and 2 s between them."""
    assert round_lasts_at_most(QUICK_POLICY) == timedelta(seconds=3 * 6 + 1 + 2)
    order = settlement()
    started = order.accepted_at + timedelta(seconds=4)
    snapshot = snapshot_in(order, State.CANCELLING).model_copy(
        update={"state_changes": (StateChange(state=State.CANCELLING, at=started, reason="adjust UNKNOWN"),)}
    )
    step = next_step(order, snapshot)
    assert (step.who, step.at) == ("automation", started + timedelta(seconds=21))
    assert "up to 3 times" in step.text


@pytest.mark.parametrize(
    ("rule", "who", "text"),
    [
        (Rule.NOT_CONFIGURED, "operator", "complete the configuration of the external system alpha"),
        (Rule.BREAKER_OPEN, "automation", "The circuit breaker of the external system alpha must close"),
        (Rule.IN_FLIGHT_LIMIT, "automation", "The external system alpha must have fewer calls than its limit"),
        (Rule.RATE_LIMIT, "automation", "The external system alpha must have fewer calls than its limit"),
    ],
)
def test_a_cancel_that_waits_for_its_system_says_what_for(rule: Rule, who: str, text: str) -> None:
    order = settlement(system="alpha")
    waiting = snapshot_in(order, State.CANCELLING).model_copy(update={"reason": waiting_reason("alpha", rule)})
    step = next_step(order, waiting)
    assert (step.who, step.at) == (who, None)
    assert text in step.text


def sparse_snapshot(order: SettlementInput, *verdicts: Verdict) -> Snapshot:
    """Return a snapshot in CANCELLING whose round has made these calls, recorded a minute after it began."""
    before = lost.cancelling(order)
    calls = [lost.cancel(order, CancelKind.FIRST, verdict) for verdict in verdicts]
    numbered = [call.model_copy(update={"attempt": n + 1}) for n, call in enumerate(calls)]
    at = before.updated_at + timedelta(minutes=1)
    return before.model_copy(update={"calls": (*before.calls, *numbered), "updated_at": at})


def test_before_the_sparse_band_both_bands_are_announced() -> None:
    order = settlement(policy=SPARSE_POLICY)
    snapshot = lost.cancelling(order)
    step = next_step(order, snapshot)
    sparse_at = utc_text(snapshot.updated_at + timedelta(seconds=1 + 2 + 20))
    assert f"up to 6 times in this round, the last 3 of them in the sparse band from about {sparse_at} on" in step.text
    assert step.at == snapshot.updated_at + round_lasts_at_most(SPARSE_POLICY)


def test_in_the_sparse_band_every_attempt_has_its_time() -> None:
    order = settlement(policy=SPARSE_POLICY)
    snapshot = sparse_snapshot(order, UNKNOWN, UNKNOWN, UNKNOWN)
    step = next_step(order, snapshot)
    times = [snapshot.updated_at + timedelta(seconds=each) for each in (20, 50, 80)]
    assert f"at about {', '.join(map(utc_text, times))}. If none does, the settlement becomes ABORTED" in step.text
    assert (step.who, step.at) == ("automation", times[-1] + timedelta(seconds=3 * 6))


def test_retry_after_of_the_last_reply_delays_the_sparse_band() -> None:
    order = settlement(policy=SPARSE_POLICY)
    snapshot = sparse_snapshot(order, UNKNOWN, UNKNOWN, BUSY.model_copy(update={"retry_after_s": 60}))
    assert f"at about {utc_text(snapshot.updated_at + timedelta(seconds=60))}, " in next_step(order, snapshot).text


def test_a_cancel_in_process_is_asked_for_again_after_its_wait() -> None:
    order = settlement()
    snapshot = sparse_snapshot(order, IN_PROCESS)
    text = next_step(order, snapshot).text
    assert text.startswith(
        "The broker still processes the cancel. It is sent again at "
        f"{utc_text(snapshot.updated_at + timedelta(seconds=1))}. Reply 1 of 10 that use no attempt."
    )
    assert "cancel adjust is sent up to 3 times in this round" in text


def test_a_refusal_for_good_and_a_contradiction_have_their_own_question_to_the_broker() -> None:
    order = settlement()
    refused = sparse_snapshot(order, REFUSED).model_copy(update={"state": State.ABORTED})
    assert next_step(order, refused).text.startswith("The broker refuses the cancel for good.")
    results = {CancelKind.FIRST: CancelResult.REVERSED, CancelKind.CONFIRMING: CancelResult.NEVER_RECEIVED}
    calls = tuple(lost.cancel(order, kind, UNKNOWN, result) for kind, result in results.items())
    contradictory = refused.model_copy(update={"calls": calls})
    assert (
        "REVERSED to the first cancel and NEVER_RECEIVED to the confirming one" in next_step(order, contradictory).text
    )


def test_two_reversals_say_that_only_the_statement_shows_how_often_the_amount_was_given_back() -> None:
    order = settlement()
    calls = tuple(lost.cancel(order, kind, REVERSED, CancelResult.REVERSED) for kind in CancelKind)
    snapshot = snapshot_in(order, State.CANCELLED).model_copy(update={"calls": calls})
    assert "Both cancels were answered REVERSED." in next_step(order, snapshot).text
    assert next_step(order, snapshot_in(order, State.CANCELLED)).text == "Finished; nothing to do."


def test_retry_after_is_a_fact_of_its_call() -> None:
    text = call_in_words(lost.cancel(settlement(), CancelKind.FIRST, BUSY), "12.50 USD")
    assert "(after 17 ms, HTTP status 429, Retry-After in s 7)" in text


def test_the_round_of_a_take_up_is_counted_from_the_take_up() -> None:
    order = settlement(accepted_at=datetime.now(UTC) - timedelta(hours=1))
    lost_snapshot = lost.cancelling(order)
    taken_up_at = order.accepted_at + timedelta(minutes=10)
    action = OperatorAction(kind=ActionKind.TAKE_UP, operator="reconciliation", note=lost.REASON, at=taken_up_at)
    step = next_step(order, lost_snapshot.model_copy(update={"actions": (action,)}))
    assert (step.who, step.at) == ("automation", taken_up_at + round_lasts_at_most(QUICK_POLICY))


def test_in_the_quarantine_the_next_step_is_the_confirming_cancel_at_its_due_time() -> None:
    order = settlement()
    full = full_audit_snapshot(order)
    intent = CancelIntent(kind=CancelKind.CONFIRMING, request_time_ms=1_767_605_400_500, remark="confirming")
    snapshot = full.model_copy(
        update={"state": State.CANCELLING, "calls": full.calls[:3], "cancel_intents": (intent,)},
    )
    step = next_step(order, snapshot)
    assert (step.who, step.at) == ("automation", datetime.fromtimestamp(1_767_605_400.5, UTC))
    assert "confirming" in step.text


def test_an_aborted_settlement_shows_the_commands_retry_and_resolve() -> None:
    order = settlement()
    step = next_step(order, snapshot_in(order, State.ABORTED))
    number = order.adjust.requestUniqueNo
    assert step.who == "operator"
    assert [command.split(" --")[0] for command in step.commands] == [
        f"settlement retry {number}",
        f"settlement resolve {number}",
    ]
