"""Worker and API as one process: fewer steps for each settlement, and the same guarantees (ADR 0024)."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from temporalio.client import Client

from one_process import END_LIMIT_S
from settlement.ids import workflow_id
from settlement.states import CancelResult, State
from tests.e2e.conftest import System, e2e_settings, faulty, running
from tests.support.orders import id_of, order
from tests.support.polling import until

SLACK_S = 8.0


@pytest_asyncio.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with running(e2e_settings(tmp_path_factory.mktemp("one"), one_process="on")) as started:
        yield started


@pytest_asyncio.fixture
async def one(shared: System) -> AsyncIterator[System]:
    """Return the shared stack; afterwards the process runs again."""
    yield shared
    if not shared.stack.api.running:
        await shared.stack.api.start()


async def kinds_of_events(system: System, number: str) -> Counter[str]:
    client = await Client.connect(system.stack.temporal_address)
    history = await client.get_workflow_handle(workflow_id(id_of(number))).fetch_history()
    kinds = (str(event.WhichOneof("attributes")).removesuffix("_event_attributes") for event in history.events)
    return Counter(kinds)


async def test_it_is_one_process(one: System) -> None:
    assert [part.name for part in one.stack.parts] == ["temporal", "simulator", "worker-and-api"]


async def test_a_decision_is_answered_without_being_asked_for(one: System) -> None:
    """Twelve events: no Update. The ledger has the decision before the caller."""
    body = order()
    answer = await one.post(body)
    assert (answer.status, answer.body["decision"]) == (201, "PROCEED")
    assert (await one.get(body["requestUniqueNo"])).body == answer.body

    async def completed() -> Counter[str] | None:
        kinds = await kinds_of_events(one, body["requestUniqueNo"])
        return kinds if "workflow_execution_completed" in kinds else None

    kinds = await until(completed)
    assert kinds.total() == 12
    assert "workflow_execution_update_accepted" not in kinds


async def test_a_repeated_order_returns_the_same_decision(one: System) -> None:
    body = order()
    answers = await asyncio.gather(*(one.post(body) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [200, 200, 200, 201]
    assert {answer.body["decision"] for answer in answers} == {"PROCEED"}
    assert len(await one.adjusts(body["requestUniqueNo"])) == 1


async def test_a_rejected_order_is_void_and_cancelled(one: System) -> None:
    body = faulty("reject")
    answer = await one.post(body)
    assert answer.body["decision"] == "VOID"
    assert (await one.ends(body["requestUniqueNo"]))["state"] == State.CANCELLED


async def test_kill_9_during_an_adjust_leaves_one_adjust_that_is_cancelled(one: System) -> None:
    body = faulty("hang_applied")
    number = body["requestUniqueNo"]
    posting = asyncio.create_task(one.post(body))
    await one.adjust_arrives(number)
    await one.stack.api.kill()
    with pytest.raises(aiohttp.ClientError):
        await posting
    await one.stack.api.start()
    ended = await one.ends(number)
    assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, CancelResult.REVERSED)
    assert len(await one.adjusts(number)) == 1


async def test_sigterm_completes_the_requests_and_calls_in_progress(one: System) -> None:
    body = faulty("late", seconds=2)
    posting = asyncio.create_task(one.post(body))
    await one.adjust_arrives(body["requestUniqueNo"])
    process = one.stack.api
    os.kill(process.pid, signal.SIGTERM)
    assert (await posting).body["decision"] == "PROCEED"
    assert await asyncio.wait_for(process.wait(), END_LIMIT_S + SLACK_S) == 0


async def test_sigint_before_it_is_ready_ends_it(one: System) -> None:
    process = one.stack.api
    await process.stop()
    starting = asyncio.create_task(process.start())

    async def is_running() -> bool:
        return process.running

    await until(is_running)
    os.kill(process.pid, signal.SIGINT)
    await asyncio.wait_for(process.wait(), SLACK_S + END_LIMIT_S)
    await asyncio.wait({starting})
    assert not process.running
