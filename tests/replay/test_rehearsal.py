"""The rehearsal of an upgrade names exactly the open workflows that this code cannot continue."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from settlement.ids import workflow_id
from tests.support.dev_server import dev_server
from tests.support.forks import PROGRAMS
from tests.support.orders import id_of, settlement
from tests.support.other_release import OtherRelease
from tests.support.polling import until
from workflows.order_settlement import OrderSettlement
from workflows.runtime import SETTLEMENT_TASK_QUEUE, workflow_runner
from workflows.start import start_workflow

SAME, CHANGED = ("SAME-1", "SAME-2"), ("CHANGED-1", "CHANGED-2")


async def started(client: Client, kind: type, numbers: tuple[str, ...]) -> None:
    """Start settlements with one release of the code. None ends, because no worker runs activities."""
    runner = workflow_runner() if kind is OrderSettlement else UnsandboxedWorkflowRunner()
    worker = Worker(
        client, task_queue=SETTLEMENT_TASK_QUEUE, workflows=[kind], workflow_runner=runner, max_cached_workflows=0
    )
    async with worker:
        for number in numbers:
            await has_completed_a_task(await start_workflow(client, settlement(requestUniqueNo=number)))


async def has_completed_a_task(handle: WorkflowHandle[Any, Any]) -> None:
    async def probe() -> bool:
        types = {event.WhichOneof("attributes") async for event in handle.fetch_history_events()}
        return bool(types & {"activity_task_scheduled_event_attributes", "timer_started_event_attributes"})

    await until(probe)


@pytest_asyncio.fixture(scope="module")
async def temporal() -> AsyncIterator[Client]:
    """Run a server with two open settlements of this code, and two of another release."""
    async with dev_server() as client:
        await started(client, OrderSettlement, SAME)
        await started(client, OtherRelease, CHANGED)

        async def listed() -> bool:
            return len([each async for each in client.list_workflows("ExecutionStatus = 'Running'")]) == 4

        await until(listed)
        yield client


async def run_command(address: str, *arguments: str) -> tuple[int, str, str]:
    """Run the command as an operator does."""
    code, out, err = await PROGRAMS.run("rehearsal", arguments, {"TEMPORAL_ADDRESS": address})
    assert "Traceback" not in err
    return code, out, err


async def test_the_command_names_exactly_the_workflows_that_would_fail(temporal: Client) -> None:
    code, out, _ = await run_command(temporal.service_client.config.target_host)
    *broken, last = out.splitlines()
    assert (code, last) == (1, "open workflows of namespace default: 4 replayed, 2 would break")
    assert {line.split(" (run ")[0] for line in broken} == {f"settlement {id_of(number)}" for number in CHANGED}
    assert all("would break: this code takes other steps than the history contains: " in line for line in broken)


async def test_it_changes_nothing(temporal: Client) -> None:
    async def lengths() -> dict[str, int]:
        handles = [temporal.get_workflow_handle(workflow_id(id_of(number))) for number in (*SAME, *CHANGED)]
        return {handle.id: (await handle.describe()).history_length for handle in handles}

    before = await lengths()
    await run_command(temporal.service_client.config.target_host)
    assert await lengths() == before


async def test_a_limit_bounds_what_is_replayed(temporal: Client) -> None:
    _, out, _ = await run_command(temporal.service_client.config.target_host, "--limit", "1")
    assert "open workflows of namespace default: 1 replayed" in out


async def test_the_command_succeeds_if_all_workflows_replay() -> None:
    async with dev_server() as client:
        await started(client, OrderSettlement, ("ALONE-1",))

        async def listed() -> bool:
            return bool([each async for each in client.list_workflows("ExecutionStatus = 'Running'")])

        await until(listed)
        code, out, _ = await run_command(client.service_client.config.target_host)
    assert (code, out) == (0, "open workflows of namespace default: 1 replayed, 0 would break\n")


@pytest.mark.parametrize("arguments", [(), ("--limit", "0")])
async def test_an_unreachable_server_is_not_a_success(arguments: tuple[str, ...]) -> None:
    code, out, err = await run_command("127.0.0.1:1", *arguments)
    assert (code, out) == (2, "")
    assert err
