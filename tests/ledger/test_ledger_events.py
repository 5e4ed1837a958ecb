"""Every state entered is one event with one id for ever; reading on from any of them misses and repeats none."""

from datetime import timedelta

import pytest

from ledger import Ledger
from settlement.snapshot import StateChange
from settlement.states import Decision, State
from tests.ledger.samples import NOON, accepted, resolved
from tests.support.orders import settlement

CHANGES = tuple(
    StateChange(state=state, at=NOON + timedelta(seconds=index), reason=f"reason {index}")
    for index, state in enumerate([State.CANCELLING, State.ABORTED, State.CANCELLING, State.CANCELLED], start=1)
)


async def told(ledger: Ledger, number: str, after: int) -> list[tuple[int, State, Decision | None]]:
    events = await ledger.events(number, after)
    assert events is not None
    return [(each.event_id, each.event.state, each.event.decision) for each in events.events]


async def test_being_accepted_is_the_first_event(ledger: Ledger) -> None:
    order = settlement(accepted_at=NOON)
    await ledger.accept(order, accepted())
    events = await ledger.events(order.adjust.requestUniqueNo, -1)
    assert events is not None
    (first,) = events.events
    assert (first.event_id, first.event.state, first.event.at, first.event.reason) == (0, "ADJUSTING", NOON, "accepted")
    assert (events.ended, first.is_last) == (False, False)


@pytest.mark.parametrize("after", range(-1, 6))
async def test_reading_on_from_any_event_gives_all_that_came_behind_it(ledger: Ledger, after: int) -> None:
    order = settlement()
    await ledger.accept(order, accepted())
    await ledger.record(order, resolved(5, state=State.CANCELLED, state_changes=CHANGES))
    everything = await told(ledger, order.adjust.requestUniqueNo, -1)
    assert everything == [
        (0, State.ADJUSTING, None),
        *((index, change.state, Decision.VOID) for index, change in enumerate(CHANGES, start=1)),
    ]
    assert await told(ledger, order.adjust.requestUniqueNo, after) == everything[after + 1 :]


async def test_changes_that_come_together_are_all_kept(ledger: Ledger) -> None:
    """The ledger follows behind: one write may bring several states."""
    order = settlement()
    await ledger.accept(order, accepted())
    await ledger.record(order, resolved(2, state=State.CANCELLING, state_changes=CHANGES[:1]))
    before = await told(ledger, order.adjust.requestUniqueNo, -1)
    await ledger.record(order, resolved(9, state=State.CANCELLED, state_changes=CHANGES))
    after = await told(ledger, order.adjust.requestUniqueNo, -1)
    assert after[: len(before)] == before
    assert [state for _, state, __ in after[len(before) :]] == [change.state for change in CHANGES[1:]]


async def test_an_unknown_number_has_none(ledger: Ledger) -> None:
    assert await ledger.events("N-1", -1) is None
