"""Whoever reads needs neither a worker nor Temporal, follows what happens as it happens, and holds nothing up."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from settlement.states import State
from stack.ports import HOST
from tests.e2e.conftest import System, e2e_settings, faulty, running
from tests.support.orders import order

LONGER_THAN_THE_DEFAULT_S = 8


@pytest_asyncio.fixture(scope="module")
async def own_system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Return a stack that these tests may break; each leaves it whole."""
    async with running(e2e_settings(tmp_path_factory.mktemp("reading"))) as started:
        yield started


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


async def test_a_stream_tells_each_state_as_the_worker_enters_it_and_ends_with_the_settlement(
    own_system: System,
) -> None:
    body = faulty("hang_applied")
    number = body["requestUniqueNo"]
    await own_system.post(body, wait_s=None)
    told = [(event_id, event["state"]) async for event_id, event in follow(own_system, number)]
    assert told == [(0, State.ADJUSTING), (1, State.CANCELLING), (2, State.CANCELLED)]


async def test_a_stream_that_was_cut_goes_on_where_it_was(own_system: System) -> None:
    body = faulty("hang_applied")
    number = body["requestUniqueNo"]
    await own_system.post(body, wait_s=None)
    async for event_id, event in follow(own_system, number):
        assert (event_id, event["state"]) == (0, State.ADJUSTING)
        break
    await own_system.ends(number)
    assert [event_id async for event_id, _ in follow(own_system, number, after=0)] == [1, 2]


async def test_without_workers_and_without_temporal_everything_is_still_told(own_system: System) -> None:
    attempts = own_system.stack.settings.cancel_max_attempts
    settled = (await own_system.post(order())).body["requestUniqueNo"]
    aborted = (await own_system.post(faulty("http_500_applied", cancel="fail", times=attempts))).body["requestUniqueNo"]
    assert (await own_system.ends(aborted))["state"] == State.ABORTED
    await own_system.stack.worker.kill()
    await own_system.stack.temporal.kill()
    try:
        async with aiohttp.ClientSession(own_system.stack.api_url) as api:

            async def read(path: str) -> dict[str, Any]:
                async with api.get(path) as answer:
                    assert answer.status == 200
                    return dict(await answer.json())

            assert (await read(f"/v1/settlements/{settled}"))["decision"] == "PROCEED"
            listed = (await read("/v1/settlements?state=ABORTED"))["items"]
            assert [each["requestUniqueNo"] for each in listed] == [aborted]
            explained = await read(f"/v1/settlements/{aborted}/explain")
            assert (explained["state"], explained["next"]["who"]) == ("ABORTED", "operator")
            assert (await read("/v1/exposure"))["totals"] == [{"currency": "USD", "count": 1, "amount": "12.50"}]
            assert (await read("/v1/batch-retry-preview?cause=HTTP_STATUS"))["count"] == 1
        assert [event_id async for event_id, _ in follow(own_system, settled)] == [0, 1]
    finally:
        await own_system.stack.temporal.start()
        await own_system.stack.worker.start()


async def test_an_open_stream_does_not_hold_the_api_back_when_it_is_told_to_end(own_system: System) -> None:
    attempts = own_system.stack.settings.cancel_max_attempts
    aborted = (await own_system.post(faulty("http_500_applied", cancel="fail", times=attempts))).body["requestUniqueNo"]
    assert (await own_system.ends(aborted))["state"] == State.ABORTED
    opened = asyncio.Event()

    async def read_to_its_end() -> int:
        last = -1
        async for event_id, event in follow(own_system, aborted):
            last = event_id
            if event["state"] == State.ABORTED:
                opened.set()
        return last

    reading = asyncio.create_task(read_to_its_end())
    await opened.wait()
    started = time.monotonic()
    await own_system.stack.api.stop()
    took_s = time.monotonic() - started
    # A drain lasts up to 65 s, and after 20 s the stack kills; either would show.
    assert took_s < 15
    assert await own_system.stack.api.wait() == 0
    assert await reading == 2
    await own_system.stack.api.start()


async def test_an_idle_connection_is_kept_for_longer_than_clients_keep_theirs(own_system: System) -> None:
    """Closed first by the API, it would take the next POST of a client with it."""
    reader, writer = await asyncio.open_connection(HOST, own_system.stack.settings.api_port)
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: api\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"200"
        with pytest.raises(TimeoutError):  # uvicorn's own default would close it within 5 s
            await asyncio.wait_for(reader.read(), LONGER_THAN_THE_DEFAULT_S)  # all, to its end
    finally:
        writer.close()
        await writer.wait_closed()
