"""With encryption the saga is the same, its history shows nothing, and a missing key loses neither money nor audit."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, Self

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.converter import ActivitySerializationContext, SerializationContext, WithSerializationContext
from temporalio.testing import WorkflowEnvironment

from encryption.codec import EncryptionCodec
from encryption.keys import PayloadKeyRing
from settlement.calls import Rule
from settlement.snapshot import OperatorRequest
from settlement.states import CancelResult, Outcome, State
from tests.saga.conftest import StartSaga
from tests.support.ledgers import FlakyLedger
from tests.support.orders import settlement
from tests.support.payload_keys import ring
from tests.support.polling import until
from tests.support.sagas import end_of, time_skipping, workers
from tests.support.scripted import APPLIED, REJECTED, REVERSED, UNKNOWN, ScriptedExternalSystem
from tests.support.story_acts import ATTEMPTS, FAILED, RETRY, aborted
from workflows.order_settlement import OrderSettlement
from workflows.runtime import data_converter
from workflows.start import start_workflow

USER, CUSTOMER, ADDRESS, AMOUNT = "Jane-Q-Roe", "customer-no-90210", "198.51.100.23", "8765.43"
PRIVATE: dict[str, Any] = {"userName": USER, "thirdServerCode": CUSTOMER, "ip": ADDRESS, "amount": AMOUNT}
ERROR_TEXT = "a very particular bug"


class CodecOfTheTest(EncryptionCodec, WithSerializationContext):
    """The codec of all workers and clients. Activities in `without_key` run on a worker that has no key."""

    def __init__(self, keys: PayloadKeyRing) -> None:
        super().__init__(keys)
        self.without_key: set[str] = set()
        self._activity: str | None = None

    def with_context(self, context: SerializationContext) -> Self:
        """Return the codec for one activity; for anything else, this one."""
        if not isinstance(context, ActivitySerializationContext):
            return self
        one = type(self)(PayloadKeyRing())
        one.__dict__ |= self.__dict__ | {"_activity": context.activity_type}
        return one

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt, unless an activity's worker has no key. A workflow decodes the result of an activity with a key."""
        task = asyncio.current_task()
        is_in_activity = task is not None and "_ActivityWorker" in str(task.get_coro())
        if is_in_activity and self._activity in self.without_key:
            return await EncryptionCodec(PayloadKeyRing()).decode(payloads)
        return await super().decode(payloads)


@pytest.fixture
def codec() -> CodecOfTheTest:
    return CodecOfTheTest(ring("k1"))


@pytest_asyncio.fixture
async def environment(codec: CodecOfTheTest) -> AsyncIterator[WorkflowEnvironment]:
    """Yield a server whose client, and so all workers, encrypt."""
    async with time_skipping(data_converter(codec)) as started:
        yield started


async def stored(handle: WorkflowHandle[OrderSettlement, State]) -> bytes:
    """Return everything that the server tells of a workflow: its history and its description."""
    history = (await handle.fetch_history()).events
    description = (await handle.describe()).raw_description
    return b"".join(each.SerializeToString() for each in (*history, description))


def shown(content: bytes) -> list[str]:
    return [text for text in (*PRIVATE.values(), ERROR_TEXT) if text.encode() in content]


@pytest.mark.parametrize(
    ("external", "end"),
    [
        (ScriptedExternalSystem(adjust=APPLIED), State.SETTLED),
        (ScriptedExternalSystem(adjust=REJECTED, cancels=[REVERSED]), State.CANCELLED),
        (ScriptedExternalSystem(adjust=RuntimeError(ERROR_TEXT), cancels=[FAILED, REVERSED]), State.CANCELLED),
    ],
    ids=["settled", "rejected", "failed"],
)
async def test_every_ending_is_reached_and_nothing_private_is_stored(
    saga: StartSaga, external: ScriptedExternalSystem, end: State
) -> None:
    """`settling` also replays the history in the sandbox."""
    async with saga(external, settlement(**PRIVATE)) as started:
        assert (await started.result()).state is end
        assert shown(await stored(started.handle)) == []
    assert started.settlement.adjust.userName == USER


async def test_an_aborted_settlement_shows_nothing_and_an_operators_refused_and_valid_updates_neither(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED] * ATTEMPTS + [REVERSED])
    note = OperatorRequest(operator=RETRY.operator, reason_code=RETRY.reason_code, note=ERROR_TEXT)
    async with saga(external, settlement(**PRIVATE)) as started:
        await aborted(environment, started)
        assert shown(await stored(started.handle)) == []
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await started.handle.execute_update(
                OrderSettlement.retry_cancel_adjust, note.model_copy(update={"note": ""})
            )
        assert refused.value.cause is not None
        assert "Failure" not in str(refused.value.cause)
        await started.handle.execute_update(OrderSettlement.retry_cancel_adjust, note)
        assert (await started.result()).cancel_result is CancelResult.REVERSED
        assert shown(await stored(started.handle)) == []


def with_keys(environment: WorkflowEnvironment, keys: PayloadKeyRing) -> Client:
    """Return a client of the same server with other keys."""
    config = environment.client.config()
    config["data_converter"] = data_converter(EncryptionCodec(keys))
    return Client(**config)


async def events_of(handle: WorkflowHandle[OrderSettlement, State], kind: EventType.ValueType) -> list[str]:
    """Return the text of each event of a kind."""
    return [str(each) async for each in handle.fetch_history_events() if each.event_type == kind]


async def test_a_worker_without_the_key_fails_no_workflow_and_one_with_it_continues(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    rotated = with_keys(environment, ring("k1", "k2", active="k2"))
    external = ScriptedExternalSystem(adjust=APPLIED)
    order = settlement(accepted_at=await environment.get_current_time())
    handle = await start_workflow(rotated, order)

    async def refused() -> bool:
        return bool(await events_of(handle, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED))

    async with workers(environment.client, external, ledger):
        await until(refused, what="the worker without the key to fail the task")
    assert (await handle.describe()).close_time is None
    assert external.adjusts == []
    async with workers(rotated, external, ledger):
        assert (await end_of(handle)).state is State.SETTLED
    assert len(external.adjusts) == 1


async def test_an_adjust_on_a_worker_without_the_key_is_not_sent_and_is_compensated(
    saga: StartSaga, codec: CodecOfTheTest
) -> None:
    """It counts as UNKNOWN, as with a lost worker: the order is void, and cancel adjust is sent."""
    codec.without_key = {"adjust"}
    external = ScriptedExternalSystem(adjust=APPLIED, cancels=[REVERSED])
    async with saga(external) as started:
        snapshot = await started.result()
    assert external.adjusts == []
    assert (snapshot.calls[0].verdict.outcome, snapshot.calls[0].verdict.rule) == (Outcome.UNKNOWN, Rule.WORKER_LOST)
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)


async def test_a_cancel_on_workers_without_the_key_is_no_reply_and_ends_with_an_operator(
    saga: StartSaga, environment: WorkflowEnvironment, codec: CodecOfTheTest
) -> None:
    """Each failed attempt counts as one that was perhaps sent. With the key back, a retry ends it."""
    codec.without_key = {"cancel_adjust"}
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[REVERSED])
    async with saga(external) as started:
        await aborted(environment, started)
        snapshot = await started.snapshot()
        assert external.cancels == []
        assert [call.verdict.outcome for call in snapshot.calls] == [Outcome.UNKNOWN] * (1 + ATTEMPTS)
        codec.without_key = set()
        await started.handle.execute_update(OrderSettlement.retry_cancel_adjust, RETRY)
        assert (await started.result()).cancel_result is CancelResult.REVERSED
    assert len(external.cancels) == 1


async def test_a_ledger_write_on_a_worker_without_the_key_is_repeated_until_one_has_it(
    saga: StartSaga, codec: CodecOfTheTest
) -> None:
    codec.without_key = {"record_settlement"}
    external = ScriptedExternalSystem(adjust=REJECTED, cancels=[REVERSED])
    async with saga(external) as started:

        async def failed() -> bool:
            pending = (await started.handle.describe()).raw_description.pending_activities
            return any(each.activity_type.name == "record_settlement" and each.attempt > 1 for each in pending)

        with suppress(TimeoutError):
            await until(failed, limit_s=10)
        codec.without_key = set()
        assert (await started.result()).state is State.CANCELLED
