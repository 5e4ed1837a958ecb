"""Draws the plans of a seed. The same seed always gives the same plans."""

import random
from dataclasses import replace

from contract.operations import Operation
from settlement.amounts import is_above
from settlement.circuit_breaker import BreakerState
from settlement.policy import ConfirmMode
from tests.simulation.call_scripts import AT_ONCE, BROKEN, DECLARED, NEVER, REPEATED, Answer, CallScript, Crash
from tests.simulation.plan import FOUR_EYES_ABOVE, POLICY, Action, Plan, Trigger, TriggerPoint

ORDERS = 12
"""Settlements of one seed."""
CALLS_AHEAD = 6.5
"""Maximum delay of a message in calls. Later ones arrive after the last call."""

CRASHES = tuple(crash for crash in Crash if crash is not Crash.NONE)

_ACTIONS_AT = {
    TriggerPoint.START: (Action.STOP,),
    TriggerPoint.CALL: (Action.STOP, Action.STOP_TWICE, Action.RETRY, Action.RESOLVE),
    TriggerPoint.WRITE: (Action.STOP, Action.STOP_TWICE, Action.RETRY, Action.RESOLVE),
    TriggerPoint.ABORT: (Action.RETRY, Action.RETRY, Action.RESOLVE, Action.STOP),
}


def plans_of(seed: int) -> list[Plan]:
    """Return the plans of a seed, with one fault rate for all and an outage that some of them share."""
    rng = random.Random(seed)  # noqa: S311 - repeatable is the point
    storm = rng.choice((0.2, 0.5, 0.8))
    outage = range(rng.randrange(ORDERS), rng.randrange(ORDERS + 1))
    plans = [_plan(rng, storm, out=n in outage) for n in range(ORDERS)]
    # A separate generator, so that the plans above stay the same for each seed.
    incidents = random.Random(f"accidents of {seed}")  # noqa: S311 - repeatable is the point
    plans = [_with_incidents(incidents, plan) for plan in plans]
    configuration = random.Random(f"configuration of {seed}")  # noqa: S311 - repeatable is the point
    plans = [_with_missing_system(configuration, plan) for plan in plans]
    declared = random.Random(f"declared codes of {seed}")  # noqa: S311 - repeatable is the point
    plans = [_with_declared_answers(declared, plan) for plan in plans]
    proposals = random.Random(f"proposals of {seed}")  # noqa: S311 - repeatable is the point
    plans = [_with_proposal(proposals, plan) for plan in plans]
    breakers = random.Random(f"breakers of {seed}")  # noqa: S311 - repeatable is the point
    return [_with_breaker(breakers, plan) for plan in plans]


def _plan(rng: random.Random, storm: float, *, out: bool) -> Plan:
    policy = POLICY.model_copy(
        update={
            "cancel_max_attempts": rng.choice((1, 2, 3, 3, 4)),
            "confirm": rng.choice((ConfirmMode.NEVER, *[ConfirmMode.AFTER_NOT_FOUND] * 3)),
        }
    )
    amount = rng.choice(("12.50", "0.01", "-20.00", "1000000.00"))
    if rng.random() < 0.1:
        # Without burnt numbers, only an adjust before the confirming cancel can be reversed (see test_interleavings).
        return Plan(adjust=CallScript((rng.choice((0.5, 1.5)),), Answer.LOST), guarded=False, amount=amount)
    taken_up = rng.random() < 0.06
    stale = not taken_up and rng.random() < 0.04
    return Plan(
        # Most adjusts have a fault: an order that is simply settled tests little.
        adjust=_script(rng, max(storm, 0.7)),
        cancels=_outage(rng) if out else tuple(_script(rng, storm) for _ in range(rng.randrange(8))),
        actions=_actions(rng) if rng.random() < 0.5 else (),
        lost_writes=frozenset(rng.sample(range(8), rng.randrange(5))) if rng.random() < storm else frozenset(),
        refuses=rng.random() < 0.1,
        taken_up=taken_up,
        stale=stale,
        amount=amount,
        policy=policy,
    )


def _with_incidents(rng: random.Random, plan: Plan) -> Plan:
    """Add lost workflows, repeated ledger writes, repeated replies, and the older cancel operation."""
    losses = tuple((_trigger(rng), Action.LOSE) for _ in range(rng.choice((1, 1, 2)))) if rng.random() < 0.2 else ()
    repeated = rng.sample(range(8), rng.randrange(1, 4)) if rng.random() < 0.2 else ()
    old = rng.random() < 0.15
    adjust, *cancels = (_perhaps_repeated(rng, script) for script in (plan.adjust, *plan.cancels))
    return replace(
        plan,
        adjust=adjust,
        cancels=tuple(cancels),
        # Without burnt numbers, an adjust after the confirming cancel cannot be reversed.
        actions=(*plan.actions, *losses) if plan.guarded else plan.actions,
        repeated_writes=frozenset(repeated) - plan.lost_writes,
        cancel_operation=Operation.CANCEL_OPERATION if old else Operation.CANCEL_ADJUST,
    )


def _with_missing_system(rng: random.Random, plan: Plan) -> Plan:
    """Let the configuration lack the external system for some attempts of the cancels."""
    if rng.random() > 0.1:
        return plan
    cancels = list(plan.cancels)
    for _ in range(rng.randrange(1, 4)):
        cancels.insert(rng.randrange(len(cancels) + 1), CallScript(NEVER, Answer.NOT_CONFIGURED))
    return replace(plan, cancels=tuple(cancels))


def _with_declared_answers(rng: random.Random, plan: Plan) -> Plan:
    """Add the sparse band, declared codes, business statuses, `Retry-After` and other modes of confirmation."""
    if not plan.guarded or rng.random() > 0.4:
        return plan
    policy = plan.policy.model_copy(
        update={
            "cancel_sparse_attempts": rng.choice((0, 1, 2)),
            "cancel_in_process_max": rng.choice((0, 1, 3)),
            "cancel_retry_after_max_s": rng.choice((0, 3, 300)),
            "confirm": rng.choice(tuple(ConfirmMode)),
        }
    )
    if policy.confirm is ConfirmMode.ALWAYS and rng.random() < 0.3:
        return _contradictory(rng, replace(plan, policy=policy))
    cancels = list(plan.cancels)
    for _ in range(rng.randrange(1, 5)):
        script = CallScript(AT_ONCE, rng.choice(tuple(DECLARED)))
        cancels.insert(rng.randrange(len(cancels) + 1), script)
    adjust = CallScript(AT_ONCE, rng.choice(tuple(DECLARED))) if rng.random() < 0.2 else plan.adjust
    return replace(plan, policy=policy, adjust=adjust, cancels=tuple(cancels))


def _contradictory(rng: random.Random, plan: Plan) -> Plan:
    """Let the confirming cancel contradict the first one once or more. No other reply of the plan is false."""
    false = [CallScript(AT_ONCE, Answer.NOT_FOUND)] * rng.randrange(1, 3)
    at_abort = tuple((when, action) for when, action in plan.actions if when.where is TriggerPoint.ABORT)
    return replace(
        plan,
        adjust=CallScript(AT_ONCE, Answer.LOST),
        cancels=(CallScript(), *false),
        actions=tuple(each for each in at_abort if each[1] in {Action.RETRY, Action.RESOLVE}),
        refuses=False,
        taken_up=False,
        stale=False,
    )


def _with_proposal(rng: random.Random, plan: Plan) -> Plan:
    """Let an operator propose a resolution before the other actions at an abort: one retries, or two resolve."""
    proposal = (Trigger(TriggerPoint.ABORT, rng.randrange(2)), Action.PROPOSE)
    is_large = is_above(plan.amount, FOUR_EYES_ABOVE)
    return replace(plan, actions=(proposal, *plan.actions)) if is_large and rng.random() < 0.5 else plan


def _with_breaker(rng: random.Random, plan: Plan) -> Plan:
    """Give the external system a circuit breaker, which other orders may have opened before."""
    return replace(plan, breaker=rng.choice(tuple(BreakerState))) if rng.random() < 0.25 else plan


def _perhaps_repeated(rng: random.Random, script: CallScript) -> CallScript:
    answer = rng.choice(REPEATED)
    return script._replace(answer=answer) if rng.random() < 0.08 and script.at_once else script


def _trigger(rng: random.Random) -> Trigger:
    where, n = rng.choice(tuple(TriggerPoint)), rng.randrange(5)
    return Trigger(where, {TriggerPoint.START: 0, TriggerPoint.ABORT: n % 2}.get(where, n))


def _script(rng: random.Random, storm: float) -> CallScript:
    if rng.random() > storm:
        return CallScript()
    late = round(rng.uniform(0.05, CALLS_AHEAD), 2)
    answer = rng.choice((Answer.LOST, Answer.LATE, Answer.WRONG_CODE, Answer.DENIED, *BROKEN))
    crash = rng.choice(CRASHES)
    return rng.choice(
        (
            CallScript(NEVER, Answer.LOST),
            CallScript((late,), Answer.LOST),
            CallScript((late, late + 0.5), Answer.LOST),
            CallScript((0.0, late)),
            CallScript((0.0, late), answer),
            CallScript(AT_ONCE, answer),
            CallScript(AT_ONCE, answer),
            CallScript(AT_ONCE, crash=crash),
            CallScript((late,), Answer.LOST, crash),
            CallScript(NEVER, Answer.NOT_SENT),
        )
    )


def _outage(rng: random.Random) -> tuple[CallScript, ...]:
    """Return scripts in which the first cancels all fail in the same way, as during an outage of the broker."""
    down = rng.choice(
        (CallScript(NEVER, Answer.NOT_SENT), CallScript(NEVER, Answer.LOST), CallScript(AT_ONCE, Answer.WRONG_CODE))
    )
    return (down,) * rng.randrange(1, 8)


def _actions(rng: random.Random) -> tuple[tuple[Trigger, Action], ...]:
    actions: list[tuple[Trigger, Action]] = []
    for _ in range(rng.randrange(1, 4)):
        where = rng.choice((*TriggerPoint, TriggerPoint.ABORT))
        n = {TriggerPoint.START: 0, TriggerPoint.ABORT: len(actions) % 2}.get(where, rng.randrange(5))
        actions.append((Trigger(where, n), rng.choice(_ACTIONS_AT[where])))
    return tuple(actions)
