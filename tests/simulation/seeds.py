"""From a seed to a stream of orders with all that befalls them. The same seed gives the same plans, always."""

import random
from dataclasses import replace

from contract.operations import Operation
from tests.simulation.call_outcomes import AT_ONCE, BROKEN, NEVER, REPEATED, Answer, Crash, Fate
from tests.simulation.plan import POLICY, Act, Moment, Plan, Where

ORDERS = 12
"""Settlements of one seed."""
CALLS_AHEAD = 6.5
"""How many calls later the last message may still arrive; beyond it, at the very end."""

CRASHES = tuple(crash for crash in Crash if crash is not Crash.NONE)

_ACTS_AT = {
    Where.START: (Act.STOP,),
    Where.CALL: (Act.STOP, Act.STOP_TWICE, Act.RETRY, Act.RESOLVE),
    Where.WRITE: (Act.STOP, Act.STOP_TWICE, Act.RETRY, Act.RESOLVE),
    Where.ABORT: (Act.RETRY, Act.RETRY, Act.RESOLVE, Act.STOP),
}


def plans_of(seed: int) -> list[Plan]:
    """Return the orders of a seed, with one weather for all and an outage that some of them share."""
    rng = random.Random(seed)  # noqa: S311 - repeatable is the point
    storm = rng.choice((0.2, 0.5, 0.8))
    outage = range(rng.randrange(ORDERS), rng.randrange(ORDERS + 1))
    plans = [_plan(rng, storm, out=n in outage) for n in range(ORDERS)]
    # From a source of their own: what a seed gave before is what it gives now, and some of these on top.
    accidents = random.Random(f"accidents of {seed}")  # noqa: S311
    return [_with_accidents(accidents, plan) for plan in plans]


def _plan(rng: random.Random, storm: float, *, out: bool) -> Plan:
    policy = POLICY.model_copy(
        update={"cancel_max_attempts": rng.choice((1, 2, 3, 3, 4)), "confirm_after_s": rng.choice((0, 30, 30, 30))}
    )
    amount = rng.choice(("12.50", "0.01", "-20.00", "1000000.00"))
    if rng.random() < 0.1:
        # Without burnt numbers only what arrives before the second look can be caught (see test_interleavings).
        return Plan(adjust=Fate((rng.choice((0.5, 1.5)),), Answer.LOST), guarded=False, amount=amount)
    taken_up = rng.random() < 0.06
    stale = not taken_up and rng.random() < 0.04
    return Plan(
        # Most adjusts go wrong here: an order that is simply settled shows little.
        adjust=_fate(rng, max(storm, 0.7)),
        cancels=_outage(rng) if out else tuple(_fate(rng, storm) for _ in range(rng.randrange(8))),
        actions=_acts(rng) if rng.random() < 0.5 else (),
        lost_writes=frozenset(rng.sample(range(8), rng.randrange(5))) if rng.random() < storm else frozenset(),
        refuses=rng.random() < 0.1,
        taken_up=taken_up,
        stale=stale,
        amount=amount,
        policy=policy,
    )


def _with_accidents(rng: random.Random, plan: Plan) -> Plan:
    """Add what befalls Temporal and the ledger, replies that come once too often, and the older protocol."""
    losses = tuple((_moment(rng), Act.LOSE) for _ in range(rng.choice((1, 1, 2)))) if rng.random() < 0.2 else ()
    repeated = rng.sample(range(8), rng.randrange(1, 4)) if rng.random() < 0.2 else ()
    old = rng.random() < 0.15
    adjust, *cancels = (_perhaps_repeated(rng, fate) for fate in (plan.adjust, *plan.cancels))
    return replace(
        plan,
        adjust=adjust,
        cancels=tuple(cancels),
        # Where numbers are not burnt, what arrives later than one life's second look cannot be caught.
        actions=(*plan.actions, *losses) if plan.guarded else plan.actions,
        repeated_writes=frozenset(repeated) - plan.lost_writes,
        cancel_operation=Operation.CANCEL_OPERATION if old else Operation.CANCEL_ADJUST,
    )


def _perhaps_repeated(rng: random.Random, fate: Fate) -> Fate:
    answer = rng.choice(REPEATED)
    return fate._replace(answer=answer) if rng.random() < 0.08 and fate.at_once else fate


def _moment(rng: random.Random) -> Moment:
    where, n = rng.choice(tuple(Where)), rng.randrange(5)
    return Moment(where, {Where.START: 0, Where.ABORT: n % 2}.get(where, n))


def _fate(rng: random.Random, storm: float) -> Fate:
    if rng.random() > storm:
        return Fate()
    late = round(rng.uniform(0.05, CALLS_AHEAD), 2)
    answer = rng.choice((Answer.LOST, Answer.LATE, Answer.WRONG_CODE, Answer.DENIED, *BROKEN))
    crash = rng.choice(CRASHES)
    return rng.choice(
        (
            Fate(NEVER, Answer.LOST),
            Fate((late,), Answer.LOST),
            Fate((late, late + 0.5), Answer.LOST),
            Fate((0.0, late)),
            Fate((0.0, late), answer),
            Fate(AT_ONCE, answer),
            Fate(AT_ONCE, answer),
            Fate(AT_ONCE, crash=crash),
            Fate((late,), Answer.LOST, crash),
            Fate(NEVER, Answer.NOT_SENT),
        )
    )


def _outage(rng: random.Random) -> tuple[Fate, ...]:
    """Let the first cancels all fail alike, as while a broker is down."""
    down = rng.choice((Fate(NEVER, Answer.NOT_SENT), Fate(NEVER, Answer.LOST), Fate(AT_ONCE, Answer.WRONG_CODE)))
    return (down,) * rng.randrange(1, 8)


def _acts(rng: random.Random) -> tuple[tuple[Moment, Act], ...]:
    actions: list[tuple[Moment, Act]] = []
    for _ in range(rng.randrange(1, 4)):
        where = rng.choice((*Where, Where.ABORT))
        n = {Where.START: 0, Where.ABORT: len(actions) % 2}.get(where, rng.randrange(5))
        actions.append((Moment(where, n), rng.choice(_ACTS_AT[where])))
    return tuple(actions)
