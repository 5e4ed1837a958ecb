"""Pauses of external systems in the ledger: at most one for each system, every action audited once."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Ledger, NumberReusedError, SystemPausedError, SystemPauses
from settlement.external_systems import SystemActionKind, SystemPause
from settlement.order_limits import OrderLimit
from tests.ledger.conftest import OpenEngine
from tests.ledger.samples import NOON, WIDE_TEXT, accepted
from tests.support.orders import settlement

AT_ONCE = 8


@pytest.fixture
def pauses(engine: AsyncEngine) -> SystemPauses:
    return SystemPauses(engine)


async def test_pause_is_found_until_it_ends(pauses: SystemPauses) -> None:
    assert await pauses.find("alpha") is None
    assert await pauses.pause("alpha", "ops-1", WIDE_TEXT, NOON, key_id="key-1")
    expected = SystemPause(operator="ops-1", key_id="key-1", note=WIDE_TEXT, at=NOON)
    assert await pauses.find("alpha") == expected
    assert await pauses.listed() == {"alpha": expected}
    assert await pauses.find("beta") is None
    assert await pauses.resume("alpha", "ops-2", "it is over", NOON)
    assert (await pauses.find("alpha"), await pauses.listed()) == (None, {})


async def test_repeated_action_changes_nothing_and_is_not_audited(pauses: SystemPauses) -> None:
    assert not await pauses.resume("alpha", "ops-1", "not paused", NOON)
    assert await pauses.pause("alpha", "ops-1", "first", NOON)
    assert not await pauses.pause("alpha", "ops-2", "second", NOON + timedelta(seconds=1))
    found = await pauses.find("alpha")
    assert found is not None
    assert (found.operator, found.note) == ("ops-1", "first")
    assert [(each.note, each.key_id) for each in await pauses.actions("alpha")] == [("first", None)]


async def test_actions_are_listed_newest_first_and_by_system(pauses: SystemPauses) -> None:
    for number in range(30):
        at = NOON + timedelta(seconds=number)
        assert await pauses.pause("alpha", "ops-1", f"pause {number}", at)
        assert await pauses.resume("alpha", "ops-1", f"resume {number}", at)
    await pauses.pause("beta", "ops-1", "other", NOON)
    listed = await pauses.actions("alpha")
    assert len(listed) == 50
    assert [(each.kind, each.note) for each in listed[:2]] == [
        (SystemActionKind.RESUME, "resume 29"),
        (SystemActionKind.PAUSE, "pause 29"),
    ]


async def test_a_paused_system_takes_no_new_order(pauses: SystemPauses, ledger: Ledger) -> None:
    """The pause is read in the transaction that accepts. Other systems and repeated orders are not affected."""
    known, new, elsewhere = settlement(system="alpha"), settlement(system="alpha"), settlement(system="beta")
    limit = OrderLimit("hourly", per_hour="12.50")
    await ledger.accept(known, accepted())
    await pauses.pause("alpha", "ops-1", "maintenance", NOON)
    with pytest.raises(SystemPausedError, match="alpha is paused") as refused:
        await ledger.accept(new, accepted(), (limit,))
    assert refused.value.pause.note == "maintenance"
    assert await ledger.find(new.settlement_id) is None
    assert (await ledger.accept(known, accepted()))[1] is False
    taken = settlement(system="alpha", company_id=8, requestUniqueNo=known.adjust.requestUniqueNo)
    with pytest.raises(NumberReusedError):
        await ledger.accept(taken, accepted())
    assert (await ledger.accept(elsewhere, accepted(), (limit,)))[1], "the refused order is not in the sum"
    await pauses.resume("alpha", "ops-1", "", NOON)
    assert (await ledger.accept(new, accepted()))[1]


async def test_of_concurrent_pauses_exactly_one_takes_effect(open_one: OpenEngine, database_url: str) -> None:
    processes = [SystemPauses(open_one(database_url)) for _ in range(AT_ONCE)]
    paused = await asyncio.gather(*(each.pause("alpha", f"ops-{n}", str(n), NOON) for n, each in enumerate(processes)))
    assert sum(paused) == 1
    assert len(await processes[0].actions("alpha")) == 1
    resumed = await asyncio.gather(*(each.resume("alpha", "ops", "", NOON) for each in processes))
    assert sum(resumed) == 1
    assert len(await processes[0].actions("alpha")) == 2
