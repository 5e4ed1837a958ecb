"""What happens to a settlement next, who does it, and when at the latest. Pure: the ledger's snapshot tells it all."""

from datetime import datetime, timedelta

from contract.commands import command_on
from contract.explanation import NextStep
from contract.ids import CancelKind
from contract.limits import ADJUST_START_TO_CLOSE, CANCEL_START_TO_CLOSE
from contract.payloads import CancelAct, SettlementInput, SettlementPolicy, Snapshot
from contract.states import State

NOBODY, AUTOMATION, OPERATOR = "nobody", "automation", "operator"

_SHORTEST_INTERVAL_S = 1.0
"""Temporal's own: a shorter one is waited as this."""


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
    waits_s = (
        max(_SHORTEST_INTERVAL_S, min(policy.cancel_initial_interval_s * 2**each, policy.cancel_max_interval_s))
        for each in range(policy.cancel_max_attempts - 1)
    )
    return CANCEL_START_TO_CLOSE * policy.cancel_max_attempts + timedelta(seconds=sum(waits_s))


def _decision(settlement: SettlementInput) -> NextStep:
    expires_at = settlement.accepted_at + timedelta(seconds=settlement.policy.expire_after_s)
    return NextStep(
        text="The adjust is sent and answered, or the order expires unsent; the decision follows at once.",
        who=AUTOMATION,
        at=expires_at + ADJUST_START_TO_CLOSE,
    )


def _compensation(settlement: SettlementInput, snapshot: Snapshot) -> NextStep:
    policy = settlement.policy
    confirming = next((act for act in snapshot.cancel_acts if act.kind is CancelKind.CONFIRMING), None)
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


def _round_began_at(snapshot: Snapshot, confirming: CancelAct | None) -> datetime:
    began = [each.at for each in snapshot.state_changes if each.state is State.CANCELLING]
    # A take-up begins a round without a change of state.
    began += [act.at for act in snapshot.acts]
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
