"""Parts that are killed or unreachable: no order is adjusted twice, lost, or left without an end state."""

import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError

from settlement.ids import workflow_id
from settlement.states import CancelResult, Decision, State
from tests.e2e.conftest import Answer, System, e2e_settings, faulty, running
from tests.support.orders import order
from tests.support.polling import until


@pytest_asyncio.fixture(scope="module")
async def own_system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Return a stack that each of these tests breaks and repairs."""
    async with running(e2e_settings(tmp_path_factory.mktemp("crashes"), expire_after_s=8)) as started:
        yield started


async def test_a_worker_killed_in_mid_adjust_leaves_one_adjust_and_a_reversal(own_system: System) -> None:
    body = faulty("hang_applied")
    await own_system.post(body, wait_s=None)
    await own_system.adjust_arrives(body["requestUniqueNo"])
    await own_system.stack.worker.kill()
    await own_system.stack.worker.start()
    ended = await own_system.ends(body["requestUniqueNo"])
    assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, CancelResult.REVERSED)
    assert len(await own_system.adjusts(body["requestUniqueNo"])) == 1
    assert ended["calls"][0]["verdict"]["rule"] == "WORKER_LOST"


async def test_a_worker_killed_in_mid_cancel_leaves_that_attempt_in_the_audit(own_system: System) -> None:
    body = faulty("http_500_applied", cancel="hang", times=1)
    number = body["requestUniqueNo"]
    await own_system.post(body)

    async def cancel_in_flight() -> bool:
        return bool(await own_system.cancels(number))

    await until(cancel_in_flight)
    await own_system.stack.worker.kill()
    await own_system.stack.worker.start()
    ended = await own_system.ends(number)
    assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, CancelResult.REVERSED)
    first, second = [call for call in ended["calls"] if call["operation"] == "CANCEL_ADJUST"]
    assert (first["attempt"], first["verdict"]["rule"], first["durationMs"]) == (1, "WORKER_LOST", None)
    assert (second["attempt"], second["cancelResult"]) == (2, CancelResult.REVERSED)
    assert len(await own_system.cancels(number)) == 2


async def test_a_worker_that_stops_completes_its_calls_first(own_system: System) -> None:
    body = faulty("late", seconds=2)
    await own_system.post(body, wait_s=None)
    await own_system.adjust_arrives(body["requestUniqueNo"])
    await own_system.stack.worker.stop()
    await own_system.stack.worker.start()
    ended = await own_system.ends(body["requestUniqueNo"])
    assert (ended["state"], len(await own_system.adjusts(body["requestUniqueNo"]))) == (State.SETTLED, 1)


async def test_without_a_worker_orders_are_accepted_within_the_wait_and_expire_unsent(own_system: System) -> None:
    await own_system.stack.worker.kill()
    body = order()
    number = body["requestUniqueNo"]
    started = time.monotonic()
    answer = await own_system.post(body, wait_s=2)
    assert (answer.status, answer.body["decision"]) == (202, None)
    assert answer.headers["Retry-After"]
    assert time.monotonic() - started < 10
    assert (await own_system.get(number)).body["state"] == State.ADJUSTING
    expiry = time.monotonic() + own_system.stack.settings.expire_after_s

    async def too_old() -> bool:
        return time.monotonic() > expiry

    await until(too_old)
    await own_system.stack.worker.start()
    ended = await own_system.ends(number)
    assert (ended["state"], ended["decision"]) == (State.EXPIRED, Decision.VOID)
    assert await own_system.calls(number) == []


async def test_with_temporal_frozen_a_post_gets_503_within_the_wait_and_a_repeat_settles(
    own_system: System,
) -> None:
    os.kill(own_system.stack.temporal.pid, signal.SIGSTOP)
    try:
        body = order()
        started = time.monotonic()
        answer = await own_system.post(body, wait_s=2)
        assert (answer.status, answer.body["code"]) == (503, "temporal-unavailable")
        assert answer.headers["Retry-After"]
        assert time.monotonic() - started < 10
        assert (await own_system.get(body["requestUniqueNo"])).body["state"] == State.ADJUSTING
    finally:
        os.kill(own_system.stack.temporal.pid, signal.SIGCONT)

    async def back() -> bool:
        return (await own_system.post(body, wait_s=5)).status == 200

    await until(back)
    ended = await own_system.ends(body["requestUniqueNo"])
    assert ended["state"] in {State.SETTLED, State.EXPIRED}
    assert len(await own_system.adjusts(body["requestUniqueNo"])) == (ended["state"] == State.SETTLED)


async def test_with_temporal_killed_reads_still_work_and_orders_settle_afterwards(own_system: System) -> None:
    settled = (await own_system.post(order())).body
    await own_system.stack.temporal.kill()
    assert (await own_system.get(settled["requestUniqueNo"])).body == settled
    refused = await own_system.post(order(), wait_s=2)
    assert (refused.status, refused.body["code"]) == (503, "temporal-unavailable")
    await own_system.stack.temporal.start()

    async def settles() -> bool:
        return (await own_system.post(order(), wait_s=10)).body.get("decision") == Decision.PROCEED

    await until(settles, limit_s=60)


async def settled(system: System) -> tuple[dict[str, Any], Answer]:
    """Post orders until one is settled before it expires; return it and its answer."""

    async def probe() -> tuple[dict[str, Any], Answer] | None:
        body = order()
        answer = await system.post(body)
        return (body, answer) if answer.body["state"] == State.SETTLED else None

    return await until(probe, what="a settled order")


async def test_a_number_stays_taken_after_its_workflow_was_deleted(own_system: System) -> None:
    body, first = await settled(own_system)
    number = body["requestUniqueNo"]
    client = await Client.connect(own_system.stack.temporal_address)
    await client.get_workflow_handle(workflow_id(number)).result()  # the server deletes a closed workflow at once
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=client.namespace, workflow_execution=WorkflowExecution(workflow_id=workflow_id(number))
        )
    )

    async def forgotten() -> bool:
        try:
            await client.get_workflow_handle(workflow_id(number)).describe()
        except RPCError:
            return True
        return False

    await until(forgotten, limit_s=90)
    again = await own_system.post(body)
    assert (again.status, again.headers["Idempotent-Replayed"], again.body) == (200, "true", first.body)
    other = await own_system.post(body | {"amount": "99.00"})
    assert (other.status, other.body["code"]) == (409, "number-reused")
    assert len(await own_system.adjusts(number)) == 1


async def test_another_body_is_refused_while_the_first_runs(own_system: System) -> None:
    body = faulty("hang_applied")
    await own_system.post(body, wait_s=None)
    other = await own_system.post(body | {"amount": "99.00"})
    assert (other.status, other.body["code"]) == (409, "number-reused")
    await own_system.ends(body["requestUniqueNo"])
    assert len(await own_system.adjusts(body["requestUniqueNo"])) == 1


async def test_the_deprecated_protocol_reverses_too(tmp_path: Path) -> None:
    settings = e2e_settings(tmp_path, external_cancel_protocol="cancel-operation")
    async with running(settings) as system:
        body = faulty("hang_applied")
        await system.post(body)
        ended = await system.ends(body["requestUniqueNo"])
        assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, CancelResult.REVERSED)
        [cancel] = await system.cancels(body["requestUniqueNo"])
        assert cancel["operation"] == "CANCEL_OPERATION"
