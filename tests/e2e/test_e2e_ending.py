"""SIGTERM ends worker and API within their documented time, whatever around them is frozen."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
import pytest_asyncio

from api.__main__ import END_LIMIT_S as API_END_S
from stack.process import Process
from tests.e2e.conftest import System, e2e_settings, faulty, running
from tests.support.orders import order
from tests.support.polling import until
from worker import END_LIMIT_S as WORKER_END_S

SLACK_S = 8.0
"""For a busy machine. The faults lasted for minutes."""


@pytest_asyncio.fixture(scope="module")
async def own_system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Return a stack that these tests may break, one after the other; each leaves it whole."""
    async with running(e2e_settings(tmp_path_factory.mktemp("ending"))) as started:
        yield started


@contextmanager
def frozen(process: Process) -> Iterator[None]:
    """Freeze a process; its connections stay open and nothing answers."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


async def ends(process: Process, limit_s: float) -> int:
    """Send SIGTERM and return the exit code, if it comes in time."""
    os.kill(process.pid, signal.SIGTERM)
    return await asyncio.wait_for(process.wait(), limit_s + SLACK_S)


async def test_the_worker_ends_in_time_while_temporal_is_frozen(own_system: System) -> None:
    body = faulty("hang_applied")
    await own_system.post(body, wait_s=None)
    await own_system.adjust_arrives(body["requestUniqueNo"])
    worker = own_system.stack.worker
    with frozen(own_system.stack.temporal):
        await ends(worker, WORKER_END_S)
    assert "worker draining" in worker.tail()
    await worker.start()
    assert (await own_system.ends(body["requestUniqueNo"]))["state"] == "CANCELLED"


async def test_the_worker_lets_a_call_end_that_is_in_flight(own_system: System) -> None:
    """Its outcome is known, and not unknown for nothing."""
    body = faulty("hang_applied")
    await own_system.post(body, wait_s=None)
    await own_system.adjust_arrives(body["requestUniqueNo"])
    assert await ends(own_system.stack.worker, WORKER_END_S) == 0
    await own_system.stack.worker.start()
    resource = await own_system.ends(body["requestUniqueNo"])
    assert resource["calls"][0]["verdict"]["rule"] == "DEADLINE"


async def test_a_second_signal_ends_the_worker_at_once(own_system: System) -> None:
    worker = own_system.stack.worker
    with frozen(own_system.stack.temporal):
        os.kill(worker.pid, signal.SIGTERM)

        async def draining() -> bool:
            return "worker draining" in worker.tail()

        await until(draining)
        os.kill(worker.pid, signal.SIGINT)
        assert await asyncio.wait_for(worker.wait(), SLACK_S) == 128 + signal.SIGINT
    assert "ended by force" in worker.tail()
    await worker.start()


async def test_the_api_ends_in_time_while_temporal_is_frozen_and_a_stream_is_open(own_system: System) -> None:
    api = own_system.stack.api
    body = faulty("http_500_applied", cancel="fail", times=99)
    await own_system.post(body)
    url = f"{own_system.stack.api_url}/v1/settlements/{body['requestUniqueNo']}/events"
    async with own_system.http.get(url) as stream:
        assert stream.status == 200
        with frozen(own_system.stack.temporal):
            posting = asyncio.create_task(own_system.post(order(), wait_s=3))
            assert await ends(api, API_END_S) == 0
            await asyncio.gather(posting, return_exceptions=True)
    await api.start()
