"""The bulkhead: no company has more in flight than it may, none is counted that has nothing, and nobody waits."""

import asyncio
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.bulkhead import Bulkhead

SLOTS = 3
A, B = 7, 8


def filled(bulkhead: Bulkhead, company_id: int | None) -> ExitStack:
    """Take every slot of a company; closing what is returned gives them back."""
    held = ExitStack()
    assert all(held.enter_context(bulkhead.slot(company_id)) for _ in range(bulkhead.slots))
    return held


@pytest.mark.parametrize("company_id", [A, None, 0])
def test_a_company_gets_its_slots_and_no_more(company_id: int | None) -> None:
    bulkhead = Bulkhead(SLOTS)
    with filled(bulkhead, company_id):
        for _ in range(2):
            with bulkhead.slot(company_id) as free:
                assert not free
        assert bulkhead.in_flight() == {company_id: SLOTS}
    with bulkhead.slot(company_id) as free:
        assert free


@pytest.mark.parametrize(("full", "other"), [(A, B), (A, None), (None, A), (None, 0)])
def test_a_full_company_takes_nothing_from_another(full: int | None, other: int | None) -> None:
    bulkhead = Bulkhead(SLOTS)
    with filled(bulkhead, full), filled(bulkhead, other):
        assert bulkhead.in_flight() == {full: SLOTS, other: SLOTS}


def test_a_call_that_raises_gives_its_slot_back() -> None:
    bulkhead = Bulkhead(1)
    with pytest.raises(RuntimeError), bulkhead.slot(A):
        raise RuntimeError
    with bulkhead.slot(A) as free:
        assert free


def test_a_call_that_raises_beside_a_full_bulkhead_gives_nobodys_slot_back() -> None:
    bulkhead = Bulkhead(1)
    with bulkhead.slot(A):
        with pytest.raises(RuntimeError), bulkhead.slot(A):
            raise RuntimeError
        assert bulkhead.in_flight() == {A: 1}


async def test_a_call_that_is_cancelled_gives_its_slot_back() -> None:
    """A worker that shuts down, or a backstop that ran out, cancels the activity's task."""
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
def test_whatever_begins_and_ends_in_whatever_order(slots: int, events: list[tuple[int | None, bool]]) -> None:
    """Against a list of who is in: a slot is free exactly while fewer than `slots` of that company are in."""
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
