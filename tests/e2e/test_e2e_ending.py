"""SIGTERM ends worker and API within their documented time, also if other parts are frozen."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from api.__main__ import END_LIMIT_S as API_END_S
from stack.process import Process
from tests.e2e.conftest import System, faulty
from tests.support.orders import order
from tests.support.polling import until
from worker import END_LIMIT_S as WORKER_END_S

SLACK_S = 8.0
"""For a busy machine. The faults lasted for minutes."""


@contextmanager
def frozen(process: Process) -> Iterator[None]:
    """Freeze a process: its connections stay open, and it does not respond."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


async def ends(process: Process, limit_s: float) -> int:
    """Send SIGTERM and return the exit code, if it comes in time."""
    os.kill(process.pid, signal.SIGTERM)
    return await asyncio.wait_for(process.wait(), limit_s + SLACK_S)


async def test_the_worker_stops_in_time_while_temporal_is_frozen(breakable: System) -> None:
    body = faulty("hang_applied")
    await breakable.post(body, wait_s=None)
    await breakable.adjust_arrives(body["requestUniqueNo"])
    worker = breakable.stack.worker
    with frozen(breakable.stack.temporal):
        await ends(worker, WORKER_END_S)
    assert "worker draining" in worker.tail()
    await worker.start()
    assert (await breakable.ends(body["requestUniqueNo"]))["state"] == "CANCELLED"


async def test_the_worker_completes_the_calls_in_flight(breakable: System) -> None:
    """So the outcome of each call is known."""
    hanging, late = faulty("hang_applied"), faulty("late", seconds=2)
    for body in (hanging, late):
        await breakable.post(body, wait_s=None)
    for body in (hanging, late):
        await breakable.adjust_arrives(body["requestUniqueNo"])
    assert await ends(breakable.stack.worker, WORKER_END_S) == 0
    await breakable.stack.worker.start()
    ended = await breakable.ends(hanging["requestUniqueNo"])
    assert (ended["state"], ended["calls"][0]["verdict"]["rule"]) == ("CANCELLED", "DEADLINE")
    assert (await breakable.ends(late["requestUniqueNo"]))["state"] == "SETTLED"
    assert len(await breakable.adjusts(late["requestUniqueNo"])) == 1


async def test_a_second_signal_ends_the_worker_at_once(breakable: System) -> None:
    worker = breakable.stack.worker
    with frozen(breakable.stack.temporal):
        os.kill(worker.pid, signal.SIGTERM)

        async def draining() -> bool:
            return "worker draining" in worker.tail()

        await until(draining)
        os.kill(worker.pid, signal.SIGINT)
        assert await asyncio.wait_for(worker.wait(), SLACK_S) == 128 + signal.SIGINT
    assert "ended by force" in worker.tail()
    await worker.start()


async def test_the_api_stops_in_time_while_temporal_is_frozen_and_a_stream_is_open(breakable: System) -> None:
    api = breakable.stack.api
    body = faulty("http_500_applied", cancel="fail", times=breakable.stack.settings.cancel_max_attempts)
    await breakable.post(body)
    url = f"{breakable.stack.api_url}/v1/settlements/{body['requestUniqueNo']}/events"
    async with breakable.http.get(url) as stream:
        assert stream.status == 200
        with frozen(breakable.stack.temporal):
            posting = asyncio.create_task(breakable.post(order(), wait_s=3))
            assert await ends(api, API_END_S) == 0
            await asyncio.gather(posting, return_exceptions=True)
    await api.start()
