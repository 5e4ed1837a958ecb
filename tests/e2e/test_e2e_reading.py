"""Reads need neither a worker nor Temporal. Event streams show changes at once and do not delay a shutdown."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from settlement.states import State
from stack.ports import HOST
from tests.e2e.conftest import System, faulty
from tests.support.orders import order

LONGER_THAN_THE_DEFAULT_S = 8
COMPANY = 78


async def follow(system: System, number: str, after: int | None = None) -> AsyncIterator[tuple[int, dict[str, Any]]]:
    """Yield the events of a stream until it ends."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    async with system.http.get(f"{system.stack.api_url}/v1/settlements/{number}/events", headers=headers) as stream:
        event_id = -1
        async for line in stream.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                event_id = int(value)
            if name == "data":
                yield event_id, json.loads(value)


async def test_a_stream_sends_each_state_and_ends_with_the_settlement(system: System) -> None:
    body = faulty("hang_applied")
    number = body["requestUniqueNo"]
    await system.post(body, wait_s=None)
    sent = [(event_id, event["state"]) async for event_id, event in follow(system, number)]
    assert sent == [(0, State.ADJUSTING), (1, State.CANCELLING), (2, State.CANCELLED)]


async def test_a_stream_continues_after_the_last_event(system: System) -> None:
    body = faulty("hang_applied")
    number = body["requestUniqueNo"]
    await system.post(body, wait_s=None)
    async for event_id, event in follow(system, number):
        assert (event_id, event["state"]) == (0, State.ADJUSTING)
        break
    await system.ends(number)
    assert [event_id async for event_id, _ in follow(system, number, after=0)] == [1, 2]


async def test_without_workers_and_temporal_all_reads_work(breakable: System) -> None:
    attempts = breakable.stack.settings.cancel_max_attempts
    settled = (await breakable.post(order())).body["requestUniqueNo"]
    doomed = faulty("http_500_applied", cancel="fail", times=attempts)
    aborted = (await breakable.post(doomed, company_id=COMPANY)).body["requestUniqueNo"]
    assert (await breakable.ends(aborted))["state"] == State.ABORTED
    await breakable.stack.worker.kill()
    await breakable.stack.temporal.kill()
    try:
        async with aiohttp.ClientSession(breakable.stack.api_url) as api:

            async def read(path: str) -> dict[str, Any]:
                async with api.get(path) as answer:
                    assert answer.status == 200
                    return dict(await answer.json())

            assert (await read(f"/v1/settlements/{settled}"))["decision"] == "PROCEED"
            listed = (await read(f"/v1/settlements?state=ABORTED&companyId={COMPANY}"))["items"]
            assert [each["requestUniqueNo"] for each in listed] == [aborted]
            explained = await read(f"/v1/settlements/{aborted}/explain")
            assert (explained["state"], explained["next"]["who"]) == ("ABORTED", "operator")
            lines = [each for each in (await read("/v1/exposure"))["lines"] if each["companyId"] == COMPANY]
            assert [(each["currency"], each["count"], each["amount"]) for each in lines] == [("USD", 1, "12.50")]
            preview = await read(f"/v1/batch-retry-preview?cause=HTTP_STATUS&companyId={COMPANY}")
            assert preview["count"] == 1
        assert [event_id async for event_id, _ in follow(breakable, settled)] == [0, 1]
    finally:
        await breakable.stack.temporal.start()
        await breakable.stack.worker.start()


async def test_an_open_stream_does_not_delay_the_shutdown_of_the_api(breakable: System) -> None:
    attempts = breakable.stack.settings.cancel_max_attempts
    aborted = (await breakable.post(faulty("http_500_applied", cancel="fail", times=attempts))).body["requestUniqueNo"]
    assert (await breakable.ends(aborted))["state"] == State.ABORTED
    opened = asyncio.Event()

    async def read_to_its_end() -> int:
        last = -1
        async for event_id, event in follow(breakable, aborted):
            last = event_id
            if event["state"] == State.ABORTED:
                opened.set()
        return last

    reading = asyncio.create_task(read_to_its_end())
    await opened.wait()
    started = time.monotonic()
    await breakable.stack.api.stop()
    took_s = time.monotonic() - started
    # A drain takes up to 65 s, and the stack kills a process after 20 s; the test would detect either.
    assert took_s < 15
    assert await breakable.stack.api.wait() == 0
    assert await reading == 2
    await breakable.stack.api.start()


async def test_an_idle_connection_is_kept_for_longer_than_clients_keep_theirs(system: System) -> None:
    """If the API closed it first, the next POST of the client could be lost."""
    reader, writer = await asyncio.open_connection(HOST, system.stack.settings.api_port)
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: api\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"200"
        with pytest.raises(TimeoutError):  # uvicorn's own default would close it within 5 s
            await asyncio.wait_for(reader.read(), LONGER_THAN_THE_DEFAULT_S)  # all, to its end
    finally:
        writer.close()
        await writer.wait_closed()
