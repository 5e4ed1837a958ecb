import asyncio
import gc
from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs
from temporalio.client import Client

from api.settlements import operator_updates
from config import sampling
from tests.api.api_harness import WITH_KEYS, ApiHarness, open_api, open_api_with_temporal
from tests.api.sockets import TcpProxy, tcp_proxy, temporal_at
from tests.support.dev_server import dev_server
from tests.support.ledgers import FlakyLedger, all_connections_free, end_hanging, migrated_file, open_copy
from tests.support.polling import until


@pytest.fixture(autouse=True)
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[MutableMapping[str, Any]]]:
    """Collect what is logged, instead of printing it; every line of it, whatever earlier tests had logged."""
    monkeypatch.setattr(sampling, "INTERVAL_S", 0)
    with capture_logs() as entries:
        yield entries


@pytest.fixture(autouse=True)
def _time_for_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let operators' actions wait longer for a worker and for the ledger than in production."""
    monkeypatch.setattr(operator_updates, "ACTION_LIMIT_S", 30.0)
    monkeypatch.setattr(operator_updates, "READ_LIMIT_S", 15.0)


@pytest_asyncio.fixture(autouse=True)
async def _nothing_hangs_on() -> AsyncIterator[None]:
    """End what a test has left hanging at a silent ledger."""
    yield
    await end_hanging()


@pytest_asyncio.fixture(scope="session", autouse=True)
async def _calm_loop() -> AsyncIterator[None]:
    """Pass over what Temporal's client leaves behind of a call that was given up: a future nobody asks.

    Reporting one would format a traceback in the middle of a garbage collection; if that falls into
    pytest's own parsing of a source, CPython 3.11 breaks off the whole run with a SystemError.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_report_unless_cancelled)
    yield
    gc.collect()
    loop.set_exception_handler(None)


def _report_unless_cancelled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)


@pytest.fixture
def systems_file(tmp_path: Path) -> Path:
    """Return the place of a file of external systems, which a test writes."""
    return tmp_path / "systems.toml"


@pytest_asyncio.fixture(scope="session")
async def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate one database, for every test to copy."""
    return await migrated_file(tmp_path_factory.mktemp("ledger"))


@pytest_asyncio.fixture
async def engine(empty_ledger: Path, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """Yield a migrated database of the test's own."""
    opened = open_copy(empty_ledger, tmp_path)
    yield opened

    async def at_rest() -> bool:
        """A transaction outlives a caller who gave up; its connection would be left behind."""
        return await all_connections_free(opened)

    await until(at_rest)
    await opened.dispose()


@pytest.fixture
def ledger(engine: AsyncEngine) -> FlakyLedger:
    return FlakyLedger(engine)


@pytest_asyncio.fixture(scope="session")
async def dead_port() -> AsyncIterator[int]:
    """Yield a port that refuses connections for as long as the tests run."""
    async with tcp_proxy() as held:
        yield held.port


@pytest_asyncio.fixture(scope="session")
async def dead_temporal(dead_port: int) -> Client:
    return await temporal_at(dead_port)


@pytest_asyncio.fixture
async def temporal_proxy() -> AsyncIterator[TcpProxy]:
    """Yield the way to Temporal; dead at first."""
    async with tcp_proxy() as held:
        yield held


@pytest_asyncio.fixture
async def api_behind_proxy(
    ledger: FlakyLedger, temporal_proxy: TcpProxy, temporal: Client
) -> AsyncIterator[ApiHarness]:
    """Yield the app whose way to Temporal is that one."""
    async with (
        open_api_with_temporal(ledger, temporal),
        open_api(ledger, await temporal_at(temporal_proxy.port)) as opened,
    ):
        yield opened


@pytest_asyncio.fixture(scope="session")
async def temporal() -> AsyncIterator[Client]:
    """Run one real Temporal server for all tests; each uses numbers of its own."""
    async with dev_server() as client:
        yield client


@pytest_asyncio.fixture
async def api_without_temporal(ledger: FlakyLedger, dead_temporal: Client) -> AsyncIterator[ApiHarness]:
    """Yield the app with its ledger, and no Temporal."""
    async with open_api(ledger, dead_temporal) as opened:
        yield opened


@pytest_asyncio.fixture
async def api(ledger: FlakyLedger, temporal: Client) -> AsyncIterator[ApiHarness]:
    """Yield the app with its ledger and a real Temporal; a test that needs a worker runs one."""
    async with open_api_with_temporal(ledger, temporal) as opened:
        yield opened


@pytest_asyncio.fixture
async def api_with_keys(ledger: FlakyLedger, dead_temporal: Client) -> AsyncIterator[ApiHarness]:
    """Yield the app that asks for keys, with its ledger and no Temporal."""
    async with open_api(ledger, dead_temporal, WITH_KEYS) as opened:
        yield opened
