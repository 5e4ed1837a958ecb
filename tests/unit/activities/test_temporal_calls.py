"""Each way in which a call of Temporal fails is one error of ours; a workflow's own answer is none."""

import asyncio

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.temporal_calls import (
    TemporalArgumentError,
    TemporalCallError,
    TemporalNotFoundError,
    TemporalRefusedError,
    TemporalTimeoutError,
    calling_temporal,
)


def rpc(status: RPCStatusCode) -> RPCError:
    return RPCError("what the server says", status, b"")


FAILURES: list[tuple[Exception, type[TemporalCallError]]] = [
    (rpc(RPCStatusCode.UNAVAILABLE), TemporalCallError),
    (rpc(RPCStatusCode.DEADLINE_EXCEEDED), TemporalCallError),
    (rpc(RPCStatusCode.RESOURCE_EXHAUSTED), TemporalCallError),
    (rpc(RPCStatusCode.NOT_FOUND), TemporalNotFoundError),
    (rpc(RPCStatusCode.PERMISSION_DENIED), TemporalRefusedError),
    (rpc(RPCStatusCode.UNIMPLEMENTED), TemporalRefusedError),
    (rpc(RPCStatusCode.INVALID_ARGUMENT), TemporalArgumentError),
    (RuntimeError("Failed client connect"), TemporalCallError),
    (WorkflowUpdateRPCTimeoutOrCancelledError(), TemporalTimeoutError),
    (TimeoutError(), TemporalTimeoutError),
]


@pytest.mark.parametrize(("error", "translated"), FAILURES, ids=lambda each: getattr(each, "__name__", repr(each)))
async def test_each_failure_has_one_meaning(error: Exception, translated: type[TemporalCallError]) -> None:
    with pytest.raises(TemporalCallError) as raised:
        async with calling_temporal():
            raise error
    assert type(raised.value) is translated
    assert raised.value.__cause__ is error
    assert str(raised.value) == (str(error) or type(error).__name__)


async def test_what_takes_longer_than_the_limit_is_a_timeout() -> None:
    with pytest.raises(TemporalTimeoutError, match="TimeoutError"):
        async with calling_temporal(0.01):
            await asyncio.Event().wait()


@pytest.mark.parametrize(
    "answer",
    [
        WorkflowAlreadyStartedError("settlement-N-1", "OrderSettlement"),
        WorkflowUpdateFailedError(ApplicationError("needs state ABORTED")),
        TemporalNotFoundError("translated before"),
        ConnectionRefusedError("the ledger's, not Temporal's"),
    ],
    ids=lambda each: type(each).__name__,
)
async def test_what_is_no_failure_of_a_call_is_left_as_it_is(answer: Exception) -> None:
    with pytest.raises(type(answer)) as raised:
        async with calling_temporal():
            raise answer
    assert raised.value is answer


async def test_a_caller_that_gives_up_is_no_failure_of_a_call() -> None:
    async def call() -> None:
        async with calling_temporal():
            await asyncio.Event().wait()

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_server_that_is_not_there_is_a_failed_call() -> None:
    with pytest.raises(TemporalCallError):
        async with calling_temporal():
            await Client.connect("127.0.0.1:1")
