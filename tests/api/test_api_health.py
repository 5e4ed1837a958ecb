"""The probes: alive is not ready, and what is not ready is named."""

import asyncio
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from ledger import open_engine
from tests.api.doors import Door, open_door
from tests.api.wire import HOST, Line, line
from tests.support.ledgers import FlakyLedger
from tests.support.polling import until
from tests.support.stopwatch import timed

LIMIT_S = 5.0
"""A probe's own patience is seldom longer."""


async def test_alive_without_anything(dead_temporal: Client) -> None:
    """An outage next door is no reason to be killed."""
    engine = open_engine("sqlite:////nowhere/at/all.db")
    async with open_door(FlakyLedger(engine), dead_temporal) as door:
        answer = await door.http.get("/healthz")
    await engine.dispose()
    assert answer.status_code == 200
    assert answer.json()["ok"] is True


async def test_ready_with_everything(door: Door) -> None:
    answer = await door.http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"ok": True, "ledger": True, "temporal": True, "temporal_identity": "VERIFIED"}


async def test_temporal_that_is_down_is_named(closed_door: Door) -> None:
    answer, took_s = await timed(closed_door.http.get("/readyz"))
    assert answer.status_code == 503
    assert answer.json() == {"ok": False, "ledger": True, "temporal": False, "temporal_identity": "UNKNOWN"}
    assert took_s < LIMIT_S


async def test_temporal_that_is_silent_is_named(lined_door: Door, temporal_line: Line) -> None:
    await temporal_line.answer_nothing()
    answer, took_s = await timed(lined_door.http.get("/readyz"))
    assert (answer.status_code, answer.json()["temporal"]) == (503, False)
    assert took_s < LIMIT_S


async def test_ready_again_when_temporal_is_back(lined_door: Door, temporal_line: Line, temporal: Client) -> None:
    assert (await lined_door.http.get("/readyz")).status_code == 503
    await temporal_line.lead_to(temporal.service_client.config.target_host)

    async def ready() -> bool:
        return (await lined_door.http.get("/readyz")).status_code == 200

    await until(ready)


async def test_ledger_that_is_gone_is_named(tmp_path: Path, temporal: Client) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/gone/ledger.db")
    async with open_door(FlakyLedger(engine), temporal) as door:
        answer = await door.http.get("/readyz")
    await engine.dispose()
    assert answer.status_code == 503
    assert answer.json() == {"ok": False, "ledger": False, "temporal": True, "temporal_identity": "UNKNOWN"}


async def test_ledger_without_its_schema_is_not_ready(tmp_path: Path, temporal: Client) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/empty.db")
    async with open_door(FlakyLedger(engine), temporal) as door:
        answer = await door.http.get("/readyz")
    await engine.dispose()
    assert (answer.status_code, answer.json()["ledger"]) == (503, False)


async def test_ledger_that_is_silent_is_named(temporal: Client) -> None:
    async with line() as to_postgres:
        await to_postgres.answer_nothing()
        engine = open_engine(f"postgresql://clerk@{HOST}:{to_postgres.port}/ledger")
        async with open_door(FlakyLedger(engine), temporal) as door:
            answer, took_s = await timed(door.http.get("/readyz"))
        await engine.dispose()
    assert answer.status_code == 503
    assert answer.json() == {"ok": False, "ledger": False, "temporal": True, "temporal_identity": "UNKNOWN"}
    assert took_s < LIMIT_S


async def test_both_can_be_named_at_once(tmp_path: Path, dead_temporal: Client) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/gone/ledger.db")
    async with open_door(FlakyLedger(engine), dead_temporal) as door:
        answer = await door.http.get("/readyz")
    await engine.dispose()
    assert answer.json() == {"ok": False, "ledger": False, "temporal": False, "temporal_identity": "UNKNOWN"}


class CountingLedger(FlakyLedger):
    """Counts how often it is looked at."""

    checks = 0

    async def check(self) -> None:
        """Look."""
        self.checks += 1
        await super().check()


async def test_many_probes_cost_one_look_at_the_ledger(engine: AsyncEngine, dead_temporal: Client) -> None:
    """Nobody needs a key for it."""
    ledger = CountingLedger(engine)
    async with open_door(ledger, dead_temporal) as door:
        answers = await asyncio.gather(*(door.http.get("/readyz") for _ in range(50)))
        answers.append(await door.http.get("/readyz"))
    assert {answer.json()["ledger"] for answer in answers} == {True}
    assert ledger.checks == 1
