"""Limits of the calls to one system: counted exactly, never waiting, with a part for cancels, kept over a reload."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from activities.call_admission import CallAdmission, CallLimits
from activities.circuit_breaker import BreakerPolicy
from settlement.calls import Rule, Verdict
from settlement.circuit_breaker import BreakerState
from settlement.states import Outcome
from tests.support.scripted import APPLIED, NOT_CONFIGURED, UNKNOWN

BREAKER = BreakerPolicy(unknowns=2, open_s=30, cancels_per_min=6)
WITH_BREAKER = CallLimits(breaker=BREAKER)


class Clock:
    """A clock that only the test moves; also that of the event loop, by which the rate is measured."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def admission_of(limits: CallLimits, clock: Clock | None = None) -> CallAdmission:
    made = CallAdmission(clock or Clock())
    made.configure({"alpha": limits})
    return made


async def call(admission: CallAdmission, verdict: Verdict = APPLIED, *, is_cancel: bool = False) -> Rule | None:
    """Make one call; return the rule by which it was refused, or None."""
    async with admission.of("alpha").call(is_cancel=is_cancel) as admitted:
        if admitted.refusal is None:
            admitted.ended(verdict)
            return None
        assert admitted.refusal.outcome is Outcome.NOT_SENT
        return admitted.refusal.rule


async def held(admission: CallAdmission, stack: AsyncExitStack, *, is_cancel: bool) -> int:
    """Begin calls until one is refused; return how many are in flight. They end with the stack."""
    for count in range(100):
        admitted = await stack.enter_async_context(admission.of("alpha").call(is_cancel=is_cancel))
        if admitted.refusal is not None:
            assert admitted.refusal.rule is Rule.IN_FLIGHT_LIMIT
            return count
    return 100


@pytest.mark.parametrize(("limit", "adjusts"), [(1, 1), (2, 1), (3, 2), (10, 8), (50, 40)])
async def test_adjusts_leave_a_part_of_the_calls_in_flight_to_cancels(limit: int, adjusts: int) -> None:
    admission = admission_of(CallLimits(in_flight=limit))
    async with AsyncExitStack() as stack:
        assert await held(admission, stack, is_cancel=False) == adjusts
        assert await held(admission, stack, is_cancel=True) == limit - adjusts
    assert admission.of("alpha").in_flight == 0
    async with AsyncExitStack() as stack:
        assert await held(admission, stack, is_cancel=True) == limit


async def test_another_system_has_its_own_limits() -> None:
    admission = CallAdmission()
    admission.configure({"alpha": CallLimits(in_flight=1), "beta": CallLimits(in_flight=1)})
    async with admission.of("beta").call(is_cancel=True):
        assert await call(admission) is None


async def test_calls_above_the_rate_are_refused_until_time_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", clock)
    admission = admission_of(CallLimits(per_s=10), clock)
    assert [await call(admission) for _ in range(9)] == [None] * 8 + [Rule.RATE_LIMIT]
    assert [await call(admission, is_cancel=True) for _ in range(3)] == [None, None, Rule.RATE_LIMIT]
    clock.now += 0.1
    assert await call(admission) is Rule.RATE_LIMIT, "what comes back goes to cancels first"
    assert [await call(admission, is_cancel=True) for _ in range(2)] == [None, Rule.RATE_LIMIT]
    clock.now += 1
    assert [await call(admission) for _ in range(9)] == [None] * 8 + [Rule.RATE_LIMIT]


async def test_a_call_that_fails_with_an_exception_gives_its_place_back_and_counts_as_unknown() -> None:
    admission = admission_of(replace(WITH_BREAKER, in_flight=1))
    for _ in range(BREAKER.unknowns):
        with pytest.raises(RuntimeError):
            async with admission.of("alpha").call(is_cancel=False):
                raise RuntimeError
    assert admission.of("alpha").in_flight == 0
    assert await call(admission) is Rule.BREAKER_OPEN


async def refused_and_failing(admission: CallAdmission) -> None:
    """Make a call as the activity of a cancel does, which fails if the call is refused."""
    async with admission.of("alpha").call(is_cancel=False) as refused:
        assert refused.refusal is not None
        raise RuntimeError


async def test_a_refused_call_that_fails_does_not_count() -> None:
    admission = admission_of(replace(WITH_BREAKER, in_flight=1))
    async with admission.of("alpha").call(is_cancel=False):
        for _ in range(2 * BREAKER.unknowns):
            with pytest.raises(RuntimeError):
                await refused_and_failing(admission)
    assert admission.breakers()["alpha"].state is BreakerState.CLOSED


async def test_a_call_without_its_secret_says_nothing_about_the_system() -> None:
    """A probe that could not be sent for that reason leaves its place to the next one."""
    clock = Clock()
    admission = admission_of(WITH_BREAKER, clock)
    for _ in range(BREAKER.unknowns):
        await call(admission, UNKNOWN)
    clock.now += BREAKER.open_s
    assert await call(admission, NOT_CONFIGURED) is None
    assert admission.breakers()["alpha"].state is BreakerState.HALF_OPEN


async def test_a_probe_that_a_limit_refuses_leaves_its_place_to_the_next_one() -> None:
    clock = Clock()
    admission = admission_of(replace(WITH_BREAKER, in_flight=1), clock)
    for _ in range(BREAKER.unknowns):
        await call(admission, UNKNOWN)
    clock.now += 10
    async with admission.of("alpha").call(is_cancel=True) as sparse:
        assert sparse.refusal is None
        clock.now += BREAKER.open_s
        assert await call(admission) is Rule.IN_FLIGHT_LIMIT
    assert await call(admission) is None
    assert admission.breakers()["alpha"].state is BreakerState.CLOSED


async def test_a_reload_keeps_the_breaker_and_the_calls_in_flight() -> None:
    admission = admission_of(WITH_BREAKER)
    async with admission.of("alpha").call(is_cancel=False):
        for _ in range(BREAKER.unknowns):
            await call(admission, UNKNOWN)
        since = admission.breakers()["alpha"].since
        admission.configure({"beta": CallLimits(), "alpha": replace(WITH_BREAKER, in_flight=1, per_s=9)})
        assert (admission.breakers()["alpha"].state, admission.breakers()["alpha"].since) == (BreakerState.OPEN, since)
        assert await call(admission) is Rule.BREAKER_OPEN
        admission.configure({"alpha": CallLimits(in_flight=1)})
        assert admission.breakers() == {}
        assert await call(admission, is_cancel=True) is Rule.IN_FLIGHT_LIMIT
    assert await call(admission) is None


async def test_a_system_that_comes_back_still_counts_its_calls_in_flight() -> None:
    admission = admission_of(CallLimits(in_flight=1))
    async with admission.of("alpha").call(is_cancel=False):
        admission.configure({})
        assert await call(admission) is Rule.IN_FLIGHT_LIMIT
        admission.configure({"alpha": CallLimits(in_flight=1)})
        assert await call(admission) is Rule.IN_FLIGHT_LIMIT
    admission.configure({})
    assert await call(admission) is None


async def test_a_system_without_limits_admits_everything() -> None:
    admission = CallAdmission()
    async with AsyncExitStack() as stack:
        assert await held(admission, stack, is_cancel=False) == 100
