"""Parts that are killed or unreachable: no order is adjusted twice, lost, or left without an end state."""

import os
import signal
import time
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError

from settlement.ids import workflow_id
from settlement.states import CancelResult, Decision, State
from tests.e2e.conftest import Answer, System, faulty
from tests.support.orders import id_of, order
from tests.support.polling import until


async def test_a_killed_worker_leaves_one_adjust_and_every_attempt_in_the_audit(breakable: System) -> None:
    """It is killed during an adjust of one settlement and during a cancel of another."""
    cancelling, adjusting = faulty("http_500_applied", cancel="hang", times=1), faulty("hang_applied")
    for body in (cancelling, adjusting):
        await breakable.post(body, wait_s=None)

    async def both_in_flight() -> bool:
        under_way = await breakable.cancels(cancelling["requestUniqueNo"])
        return bool(under_way and await breakable.adjusts(adjusting["requestUniqueNo"]))

    await until(both_in_flight)
    await breakable.stack.worker.kill()
    await breakable.stack.worker.start()
    ends = [await breakable.ends(each["requestUniqueNo"]) for each in (adjusting, cancelling)]
    for ended in ends:
        assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, CancelResult.REVERSED)
        assert len(await breakable.adjusts(ended["requestUniqueNo"])) == 1
    assert ends[0]["calls"][0]["verdict"]["rule"] == "WORKER_LOST"
    first, second = [call for call in ends[1]["calls"] if call["operation"] == "CANCEL_ADJUST"]
    assert (first["attempt"], first["verdict"]["rule"], first["durationMs"]) == (1, "WORKER_LOST", None)
    assert (second["attempt"], second["cancelResult"]) == (2, CancelResult.REVERSED)
    assert len(await breakable.cancels(cancelling["requestUniqueNo"])) == 2


async def test_without_a_worker_orders_are_accepted_within_the_wait_and_expire_unsent(breakable: System) -> None:
    await breakable.stack.worker.kill()
    body = order()
    number = body["requestUniqueNo"]
    started = time.monotonic()
    answer = await breakable.post(body, wait_s=2)
    assert (answer.status, answer.body["decision"]) == (202, None)
    assert answer.headers["Retry-After"]
    assert time.monotonic() - started < 10
    assert (await breakable.get(number)).body["state"] == State.ADJUSTING
    expiry = time.monotonic() + breakable.stack.settings.expire_after_s

    async def too_old() -> bool:
        return time.monotonic() > expiry

    await until(too_old)
    await breakable.stack.worker.start()
    ended = await breakable.ends(number)
    assert (ended["state"], ended["decision"]) == (State.EXPIRED, Decision.VOID)
    assert await breakable.calls(number) == []


async def test_with_temporal_frozen_a_post_gets_503_within_the_wait_and_a_repeat_settles(
    breakable: System,
) -> None:
    os.kill(breakable.stack.temporal.pid, signal.SIGSTOP)
    try:
        body = order()
        started = time.monotonic()
        answer = await breakable.post(body, wait_s=2)
        assert (answer.status, answer.body["code"]) == (503, "temporal-unavailable")
        assert answer.headers["Retry-After"]
        assert time.monotonic() - started < 10
        assert (await breakable.get(body["requestUniqueNo"])).body["state"] == State.ADJUSTING
    finally:
        os.kill(breakable.stack.temporal.pid, signal.SIGCONT)

    async def back() -> bool:
        return (await breakable.post(body, wait_s=5)).status == 200

    await until(back)
    ended = await breakable.ends(body["requestUniqueNo"])
    assert ended["state"] in {State.SETTLED, State.EXPIRED}
    assert len(await breakable.adjusts(body["requestUniqueNo"])) == (ended["state"] == State.SETTLED)


async def test_with_temporal_killed_reads_still_work_and_orders_settle_afterwards(breakable: System) -> None:
    settled = (await breakable.post(order())).body
    await breakable.stack.temporal.kill()
    assert (await breakable.get(settled["requestUniqueNo"])).body == settled
    refused = await breakable.post(order(), wait_s=2)
    assert (refused.status, refused.body["code"]) == (503, "temporal-unavailable")
    await breakable.stack.temporal.start()

    async def settles() -> bool:
        return (await breakable.post(order(), wait_s=10)).body.get("decision") == Decision.PROCEED

    await until(settles, limit_s=60)


async def settled(system: System) -> tuple[dict[str, Any], Answer]:
    """Post orders until one is settled before it expires; return it and its answer."""

    async def probe() -> tuple[dict[str, Any], Answer] | None:
        body = order()
        answer = await system.post(body)
        return (body, answer) if answer.body["state"] == State.SETTLED else None

    return await until(probe, what="a settled order")


async def test_a_number_stays_taken_after_its_workflow_was_deleted(breakable: System) -> None:
    body, first = await settled(breakable)
    number = body["requestUniqueNo"]
    client = await Client.connect(breakable.stack.temporal_address)
    await client.get_workflow_handle(
        workflow_id(id_of(number))
    ).result()  # the server deletes a closed workflow at once
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=client.namespace, workflow_execution=WorkflowExecution(workflow_id=workflow_id(id_of(number)))
        )
    )

    async def forgotten() -> bool:
        try:
            await client.get_workflow_handle(workflow_id(id_of(number))).describe()
        except RPCError:
            return True
        return False

    await until(forgotten, limit_s=90)
    again = await breakable.post(body)
    assert (again.status, again.headers["Idempotent-Replayed"], again.body) == (200, "true", first.body)
    other = await breakable.post(body | {"amount": "99.00"})
    assert (other.status, other.body["code"]) == (409, "number-reused")
    assert len(await breakable.adjusts(number)) == 1


async def test_another_body_is_refused_while_the_first_runs(breakable: System) -> None:
    body = faulty("hang_applied")
    await breakable.post(body, wait_s=None)
    other = await breakable.post(body | {"amount": "99.00"})
    assert (other.status, other.body["code"]) == (409, "number-reused")
    await breakable.ends(body["requestUniqueNo"])
    assert len(await breakable.adjusts(body["requestUniqueNo"])) == 1
