"""The probes: /healthz for a live process, and /readyz, which names the part that is not ready."""

import asyncio
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from ledger import open_engine
from tests.api.api_harness import ApiHarness, open_api
from tests.api.sockets import HOST, TcpProxy, tcp_proxy
from tests.support.ledgers import FlakyLedger
from tests.support.polling import until
from tests.support.stopwatch import timed

NO_FILE = {"external_systems": None, "order_limits": None, "payload_keys": None}
WITHOUT_LEDGER = {"ok": False, "ledger": False, "temporal": True, "temporal_identity": "UNKNOWN", **NO_FILE}
LIMIT_S = 5.0
"""Probes rarely wait longer."""


async def test_healthz_needs_neither_ledger_nor_temporal(dead_temporal: Client) -> None:
    """An outage of another part must not get this process killed."""
    engine = open_engine("sqlite:////nowhere/at/all.db")
    async with open_api(FlakyLedger(engine), dead_temporal) as api:
        answer = await api.http.get("/healthz")
    await engine.dispose()
    assert answer.status_code == 200
    assert answer.json()["ok"] is True


async def test_ready_with_ledger_and_temporal(api: ApiHarness) -> None:
    answer = await api.http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "ok": True,
        "ledger": True,
        "temporal": True,
        "temporal_identity": "VERIFIED",
        **NO_FILE,
    }


async def test_an_unreachable_temporal_is_reported(api_without_temporal: ApiHarness) -> None:
    answer, took_s = await timed(api_without_temporal.http.get("/readyz"))
    assert answer.status_code == 503
    assert answer.json() == {
        "ok": False,
        "ledger": True,
        "temporal": False,
        "temporal_identity": "UNKNOWN",
        **NO_FILE,
    }
    assert took_s < LIMIT_S


async def test_an_unresponsive_temporal_is_reported(api_behind_proxy: ApiHarness, temporal_proxy: TcpProxy) -> None:
    await temporal_proxy.stop_answering()
    answer, took_s = await timed(api_behind_proxy.http.get("/readyz"))
    assert (answer.status_code, answer.json()["temporal"]) == (503, False)
    assert took_s < LIMIT_S


async def test_ready_again_when_temporal_is_back(
    api_behind_proxy: ApiHarness, temporal_proxy: TcpProxy, temporal: Client
) -> None:
    assert (await api_behind_proxy.http.get("/readyz")).status_code == 503
    await temporal_proxy.forward_to(temporal.service_client.config.target_host)

    async def ready() -> bool:
        return (await api_behind_proxy.http.get("/readyz")).status_code == 200

    await until(ready)


async def test_a_missing_ledger_is_reported(tmp_path: Path, temporal: Client) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/gone/ledger.db")
    async with open_api(FlakyLedger(engine), temporal) as api:
        answer = await api.http.get("/readyz")
    await engine.dispose()
    assert answer.status_code == 503
    assert answer.json() == WITHOUT_LEDGER


async def test_ledger_without_its_schema_is_not_ready(tmp_path: Path, temporal: Client) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/empty.db")
    async with open_api(FlakyLedger(engine), temporal) as api:
        answer = await api.http.get("/readyz")
    await engine.dispose()
    assert (answer.status_code, answer.json()["ledger"]) == (503, False)


async def test_an_unresponsive_ledger_is_reported(temporal: Client) -> None:
    async with tcp_proxy() as to_postgres:
        await to_postgres.stop_answering()
        engine = open_engine(f"postgresql://clerk@{HOST}:{to_postgres.port}/ledger")
        async with open_api(FlakyLedger(engine), temporal) as api:
            answer, took_s = await timed(api.http.get("/readyz"))
        await engine.dispose()
    assert answer.status_code == 503
    assert answer.json() == WITHOUT_LEDGER
    assert took_s < LIMIT_S


async def test_ledger_and_temporal_can_both_be_reported(tmp_path: Path, dead_temporal: Client) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/gone/ledger.db")
    async with open_api(FlakyLedger(engine), dead_temporal) as api:
        answer = await api.http.get("/readyz")
    await engine.dispose()
    assert answer.json() == {
        "ok": False,
        "ledger": False,
        "temporal": False,
        "temporal_identity": "UNKNOWN",
        **NO_FILE,
    }


class CountingLedger(FlakyLedger):
    """Counts its checks."""

    checks = 0

    async def check(self) -> None:
        """Count and check."""
        self.checks += 1
        await super().check()


async def test_many_probes_cost_one_check_of_the_ledger(engine: AsyncEngine, dead_temporal: Client) -> None:
    """The route needs no key, so its cost must be limited."""
    ledger = CountingLedger(engine)
    async with open_api(ledger, dead_temporal) as api:
        answers = await asyncio.gather(*(api.http.get("/readyz") for _ in range(50)))
        answers.append(await api.http.get("/readyz"))
    assert {answer.json()["ledger"] for answer in answers} == {True}
    assert ledger.checks == 1
