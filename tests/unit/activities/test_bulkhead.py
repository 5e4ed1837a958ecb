"""The bulkhead limits each company's calls in flight, counts exactly, and never waits."""

import asyncio
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.bulkhead import ACTIVE_AFTER_CALL_S, Bulkhead

SLOTS = 3
A, B = 7, 8


def filled(bulkhead: Bulkhead, company_id: int | None) -> ExitStack:
    """Take every slot of a company; closing the returned stack releases them."""
    held = ExitStack()
    assert all(held.enter_context(bulkhead.slot(company_id)) for _ in range(bulkhead.limit(company_id)))
    return held


@pytest.mark.parametrize("company_id", [A, None, 0])
def test_a_company_cannot_exceed_its_slots(company_id: int | None) -> None:
    bulkhead = Bulkhead(SLOTS)
    with filled(bulkhead, company_id):
        for _ in range(2):
            with bulkhead.slot(company_id) as free:
                assert not free
        assert bulkhead.in_flight() == {company_id: SLOTS}
    with bulkhead.slot(company_id) as free:
        assert free


@pytest.mark.parametrize(("full", "other"), [(A, B), (A, None), (None, A), (None, 0)])
def test_a_full_company_does_not_affect_another(full: int | None, other: int | None) -> None:
    bulkhead = Bulkhead(SLOTS)
    with filled(bulkhead, full), filled(bulkhead, other):
        assert bulkhead.in_flight() == {full: SLOTS, other: SLOTS}


def test_a_call_that_raises_releases_its_slot() -> None:
    bulkhead = Bulkhead(1)
    with pytest.raises(RuntimeError), bulkhead.slot(A):
        raise RuntimeError
    with bulkhead.slot(A) as free:
        assert free


def test_a_refused_call_that_raises_releases_no_slot() -> None:
    bulkhead = Bulkhead(1)
    with bulkhead.slot(A):
        with pytest.raises(RuntimeError), bulkhead.slot(A):
            raise RuntimeError
        assert bulkhead.in_flight() == {A: 1}


async def test_a_cancelled_call_releases_its_slot() -> None:
    """A worker's shutdown or an activity timeout cancels the activity's task."""
    bulkhead, begun = Bulkhead(1), asyncio.Event()

    async def call() -> None:
        with bulkhead.slot(A):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(call())
    await begun.wait()
    assert bulkhead.in_flight() == {A: 1}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bulkhead.in_flight() == {}


def test_companies_without_calls_are_not_remembered() -> None:
    bulkhead = Bulkhead(SLOTS)
    for company_id in range(1_000):
        with bulkhead.slot(company_id) as free:
            assert free
            assert bulkhead.in_flight() == {company_id: 1}
    assert bulkhead.in_flight() == {}


@given(st.integers(1, 4), st.lists(st.tuples(st.sampled_from([A, B, None]), st.booleans()), max_size=60))
def test_any_sequence_of_begins_and_ends(slots: int, events: list[tuple[int | None, bool]]) -> None:
    """Compared with a list of the calls in flight: a slot is free exactly while a company has fewer than `slots`."""
    bulkhead = Bulkhead(slots)
    held: list[tuple[int | None, ExitStack]] = []
    for company_id, begins in events:
        mine = [each for each in held if each[0] == company_id]
        if begins:
            stack = ExitStack()
            assert stack.enter_context(bulkhead.slot(company_id)) is (len(mine) < slots)
            if len(mine) < slots:
                held.append((company_id, stack))
            else:
                stack.close()
        elif mine:
            held.remove(mine[0])
            mine[0][1].close()
        counts = {each: len([one for one, _ in held if one == each]) for each, _ in held}
        assert bulkhead.in_flight() == counts


ALL, HALF, HANGS_S = 8, 4, 3.0


class Clock:
    """A clock that the test controls."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize("company_id", [A, None])
def test_a_company_alone_has_all_slots(clock: Clock, company_id: int | None) -> None:
    """A platform with one company, or without companies, must not lose half of its capacity."""
    bulkhead = Bulkhead(HALF, ALL, clock)
    with filled(bulkhead, company_id):
        assert bulkhead.in_flight() == {company_id: ALL}
        with bulkhead.slot(company_id) as free:
            assert not free


def test_while_another_company_has_a_call_each_has_its_own_slots(clock: Clock) -> None:
    bulkhead = Bulkhead(HALF, ALL, clock)
    with bulkhead.slot(B) as other:
        clock.now += 10 * ACTIVE_AFTER_CALL_S
        assert other
        with filled(bulkhead, A):
            assert bulkhead.in_flight() == {A: HALF, B: 1}


def test_a_company_stays_active_for_a_while_after_its_last_call(clock: Clock) -> None:
    """Otherwise a company with few orders would find all slots taken."""
    bulkhead = Bulkhead(HALF, ALL, clock)
    with bulkhead.slot(B):
        clock.now += 100
    clock.now += ACTIVE_AFTER_CALL_S - 1
    assert (bulkhead.limit(A), bulkhead.limit(B)) == (HALF, ALL)
    clock.now += 1
    assert bulkhead.limit(A) == ALL


def test_a_company_above_its_limit_gets_no_slot_until_it_is_below_it(clock: Clock) -> None:
    bulkhead = Bulkhead(HALF, ALL, clock)
    held = [ExitStack() for _ in range(ALL)]
    assert all(each.enter_context(bulkhead.slot(A)) for each in held)
    held.pop().close()
    with bulkhead.slot(B) as other:
        assert other
    while len(held) > HALF:
        with bulkhead.slot(A) as free:
            assert not free
        held.pop().close()
    held.pop().close()
    with bulkhead.slot(A) as free:
        assert free
    for each in held:
        each.close()


def test_while_one_company_hangs_another_waits_at_most_once(clock: Clock) -> None:
    """A worker with `ALL` slots: company A hangs and takes every free slot; Temporal alternates A's and B's tasks."""
    bulkhead = Bulkhead(HALF, ALL, clock)
    in_flight: list[tuple[float, int, ExitStack]] = []
    waited_s: list[float] = []

    def begin(company_id: int) -> bool:
        stack = ExitStack()
        if not stack.enter_context(bulkhead.slot(company_id)):
            stack.close()
            return False
        in_flight.append((clock.now + (HANGS_S if company_id == A else 0.1), company_id, stack))
        return True

    asks_since = 20.0
    while clock.now < 120:
        for each in [each for each in in_flight if each[0] <= clock.now]:
            in_flight.remove(each)
            each[2].close()
        while clock.now >= asks_since and len(in_flight) < ALL:
            assert begin(B), "B has never as many in flight as it may"
            waited_s.append(clock.now - asks_since)
            asks_since += 10
        while len(in_flight) < ALL and begin(A):
            pass
        clock.now += 0.25
    assert waited_s[0] <= HANGS_S
    assert len(waited_s) >= 9
    assert set(waited_s[1:]) == {0.0}


@given(st.lists(st.tuples(st.sampled_from([A, B, None]), st.booleans(), st.floats(0, 90)), max_size=60))
def test_the_limit_is_raised_exactly_while_no_other_company_is_active(
    events: list[tuple[int | None, bool, float]],
) -> None:
    """Compared with a list of the calls in flight and the last call of each company."""
    clock = Clock()
    bulkhead = Bulkhead(HALF, ALL, clock)
    held: list[tuple[int | None, ExitStack]] = []
    seen: dict[int | None, float] = {}
    for company_id, begins, later_s in events:
        clock.now += later_s
        mine = [each for each in held if each[0] == company_id]
        if begins:
            stack = ExitStack()
            if stack.enter_context(bulkhead.slot(company_id)):
                held.append((company_id, stack))
            else:
                stack.close()
            seen[company_id] = clock.now
        elif mine:
            held.remove(mine[0])
            mine[0][1].close()
            seen[company_id] = clock.now
        for each in (A, B, None):
            others = {one for one, _ in held} | {
                one for one, at in seen.items() if clock.now - at < ACTIVE_AFTER_CALL_S
            }
            assert bulkhead.limit(each) == (HALF if others - {each} else ALL)
