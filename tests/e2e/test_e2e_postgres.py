"""The same system with its ledger on PostgreSQL, as in production."""

import asyncio
from pathlib import Path

from settlement.states import CancelResult, State
from tests.e2e.conftest import e2e_settings, faulty, running
from tests.support.orders import order
from tests.support.polling import until
from tests.support.postgres import running_postgres


async def test_orders_settle_and_a_killed_database_delays_rows_and_loses_none(tmp_path: Path) -> None:
    with running_postgres() as postgres:
        settings = e2e_settings(tmp_path, database_url=postgres.create_database("ledger"))
        async with running(settings) as system:
            settled = await system.post(order())
            assert (settled.status, settled.body["state"]) == (201, State.SETTLED)

            body = faulty("hang_applied")
            number = body["requestUniqueNo"]
            waiting = asyncio.create_task(system.post(body))
            await system.adjust_arrives(number)
            await asyncio.to_thread(postgres.kill9)

            async def reversed_without_a_ledger() -> bool:
                return bool((await system.books(number))["timesReversed"] == 1)

            await until(reversed_without_a_ledger)
            assert (await waiting).body["decision"] == "VOID"
            refused = await system.post(order())
            assert (refused.status, refused.body["code"]) == (503, "ledger-unavailable")

            await asyncio.to_thread(postgres.start)

            async def answers_again() -> bool:
                return (await system.get(number)).status == 200

            await until(answers_again)
            ended = await system.ends(number)
            assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, CancelResult.REVERSED)
            assert len(ended["calls"]) == 2
