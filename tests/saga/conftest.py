from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from settlement.start import SettlementInput
from tests.support.batches import Bench, running_bench
from tests.support.ledgers import FlakyLedger, migrated_file, open_copy
from tests.support.orders import settlement
from tests.support.sagas import Saga, settling, time_skipping
from tests.support.scripted import ScriptedExternalSystem

StartSaga = Callable[..., AbstractAsyncContextManager[Saga]]


@pytest_asyncio.fixture
async def environment() -> AsyncIterator[WorkflowEnvironment]:
    """Yield a server of the test's own. It starts in 0.1 s.

    A server that lost an activity, for example because a test has ended its worker, skips no time until that activity
    has timed out. Later tests would wait for it.
    """
    async with time_skipping() as started:
        yield started


@pytest_asyncio.fixture(scope="session")
async def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate a database file once; each test has a copy."""
    return await migrated_file(tmp_path_factory.mktemp("migrated"))


@pytest_asyncio.fixture
async def ledger(migrated: Path, tmp_path: Path) -> AsyncIterator[FlakyLedger]:
    engine = open_copy(migrated, tmp_path)
    yield FlakyLedger(engine)
    await engine.dispose()


@pytest_asyncio.fixture
async def bench(environment: WorkflowEnvironment, ledger: FlakyLedger) -> AsyncIterator[Bench]:
    """Yield what batches work with; the external system is away."""
    async with running_bench(environment, ledger) as prepared:
        yield prepared


@pytest.fixture
def saga(environment: WorkflowEnvironment, ledger: FlakyLedger) -> StartSaga:
    """Return what starts a settlement against a script, with its workers."""

    @asynccontextmanager
    async def start(
        external: ScriptedExternalSystem,
        start: SettlementInput | None = None,
        **options: Any,  # noqa: ANN401 - those of `workers`
    ) -> AsyncIterator[Saga]:
        accepted = start or settlement(accepted_at=await environment.get_current_time())
        async with settling(environment, ledger, external, accepted, **options) as started:
            yield started

    return start
