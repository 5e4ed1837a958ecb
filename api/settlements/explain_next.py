"""What happens to a settlement next, who does it, and when at the latest. Pure: the ledger's snapshot tells it all."""

from datetime import datetime, timedelta

from schemas.explanation import NextStep, command_on
from settlement.ids import CancelKind
from settlement.limits import ADJUST_START_TO_CLOSE, CANCEL_START_TO_CLOSE
from settlement.policy import SettlementPolicy, waits_s
from settlement.snapshot import CancelIntent, Snapshot
from settlement.start import SettlementInput
from settlement.states import State

NOBODY, AUTOMATION, OPERATOR = "nobody", "automation", "operator"


def next_step(settlement: SettlementInput, snapshot: Snapshot) -> NextStep:
    """Return what happens next. Moments are limits: with all workers down everything waits for them."""
    match snapshot.state:
        case State.ADJUSTING:
            return _decision(settlement)
        case State.CANCELLING:
            return _compensation(settlement, snapshot)
        case State.ABORTED:
            return _by_hand(settlement)
        case _:
            return NextStep(text="Nothing: this is the end.", who=NOBODY)


def round_lasts_at_most(policy: SettlementPolicy) -> timedelta:
    """Return how long one round of cancel attempts can last: every attempt to its limit, and the waits between."""
    return CANCEL_START_TO_CLOSE * policy.cancel_max_attempts + timedelta(seconds=sum(waits_s(policy)))


def _decision(settlement: SettlementInput) -> NextStep:
    expires_at = settlement.expires_at
    return NextStep(
        text="The adjust is sent and answered, or the order expires unsent; the decision follows at once.",
        who=AUTOMATION,
        at=expires_at + ADJUST_START_TO_CLOSE,
    )


def _compensation(settlement: SettlementInput, snapshot: Snapshot) -> NextStep:
    policy = settlement.policy
    confirming = next((act for act in snapshot.cancel_intents if act.kind is CancelKind.CONFIRMING), None)
    if confirming is not None and snapshot.calls[-1].cancel_result is not None:
        return NextStep(
            text="After the quarantine a confirming cancel looks once more, for an adjust that arrived late.",
            who=AUTOMATION,
            at=confirming.due_at,
        )
    return NextStep(
        text=(
            f"cancel adjust is sent up to {policy.cancel_max_attempts} times in this round, until it is answered "
            "correctly; if it never is, the settlement is ABORTED and an operator decides."
        ),
        who=AUTOMATION,
        at=_round_began_at(snapshot, confirming) + round_lasts_at_most(policy),
    )


def _round_began_at(snapshot: Snapshot, confirming: CancelIntent | None) -> datetime:
    began = [each.at for each in snapshot.state_changes if each.state is State.CANCELLING]
    # A take-up begins a round without a change of state.
    began += [act.at for act in snapshot.actions]
    return max([*began, *([confirming.due_at] if confirming else [])], default=snapshot.updated_at)


def _by_hand(settlement: SettlementInput) -> NextStep:
    number = settlement.adjust.requestUniqueNo
    return NextStep(
        text=(
            "Nothing by itself. Ask the broker about the numbers above; then have cancel adjust tried again, or "
            "close the case with the broker's reference."
        ),
        who=OPERATOR,
        commands=(
            command_on(number, "retry", "--reason BROKER_RECOVERED", '--note "why"'),
            command_on(number, "resolve", "--reason REVERSED_BY_BROKER", '--note "why"', '--reference "their ticket"'),
        ),
    )
