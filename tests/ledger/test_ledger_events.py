"""Every state entered is one event with a fixed id; reading on after any event neither misses nor repeats one."""

from datetime import timedelta

import pytest

from ledger import Ledger
from settlement.snapshot import StateChange
from settlement.states import Decision, State
from tests.ledger.samples import NOON, accepted, resolved
from tests.support.orders import id_of, settlement

CHANGES = tuple(
    StateChange(state=state, at=NOON + timedelta(seconds=index), reason=f"reason {index}")
    for index, state in enumerate([State.CANCELLING, State.ABORTED, State.CANCELLING, State.CANCELLED], start=1)
)


async def events_after(ledger: Ledger, number: str, after: int) -> list[tuple[int, State, Decision | None]]:
    events = await ledger.events(id_of(number), after)
    assert events is not None
    return [(each.event_id, each.event.state, each.event.decision) for each in events.events]


async def test_the_acceptance_is_the_first_event(ledger: Ledger) -> None:
    order = settlement(accepted_at=NOON)
    await ledger.accept(order, accepted())
    events = await ledger.events(order.settlement_id, -1)
    assert events is not None
    (first,) = events.events
    assert (first.event_id, first.event.state, first.event.at, first.event.reason) == (0, "ADJUSTING", NOON, "accepted")
    assert (events.ended, first.is_last) == (False, False)


@pytest.mark.parametrize("after", range(-1, 6))
async def test_reading_after_an_event_returns_all_later_events(ledger: Ledger, after: int) -> None:
    order = settlement()
    await ledger.accept(order, accepted())
    await ledger.record(order, resolved(5, state=State.CANCELLED, state_changes=CHANGES))
    everything = await events_after(ledger, order.adjust.requestUniqueNo, -1)
    assert everything == [
        (0, State.ADJUSTING, None),
        *((index, change.state, Decision.VOID) for index, change in enumerate(CHANGES, start=1)),
    ]
    assert await events_after(ledger, order.adjust.requestUniqueNo, after) == everything[after + 1 :]


async def test_several_changes_in_one_write_are_all_events(ledger: Ledger) -> None:
    """The ledger is written asynchronously, so one write can contain several states."""
    order = settlement()
    await ledger.accept(order, accepted())
    await ledger.record(order, resolved(2, state=State.CANCELLING, state_changes=CHANGES[:1]))
    before = await events_after(ledger, order.adjust.requestUniqueNo, -1)
    await ledger.record(order, resolved(9, state=State.CANCELLED, state_changes=CHANGES))
    after = await events_after(ledger, order.adjust.requestUniqueNo, -1)
    assert after[: len(before)] == before
    assert [state for _, state, __ in after[len(before) :]] == [change.state for change in CHANGES[1:]]


async def test_an_unknown_number_has_no_events(ledger: Ledger) -> None:
    assert await ledger.events(id_of("N-1"), -1) is None
