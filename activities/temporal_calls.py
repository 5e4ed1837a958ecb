"""Translates the errors of the Temporal client into our own. No other module handles the client's errors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.client import RPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode


class TemporalCallError(Exception):
    """Temporal did not confirm a call: unavailable or overloaded. The request may or may not have been executed."""


class TemporalTimeoutError(TemporalCallError):
    """The call timed out. A worker answers Updates, so perhaps no worker is running."""


class TemporalNotFoundError(TemporalCallError):
    """The workflow or schedule does not exist or is not open. Nothing was done."""


class TemporalRefusedError(TemporalCallError):
    """The server does not permit this client to make the call, or does not implement it. Nothing was done."""


class TemporalArgumentError(TemporalCallError):
    """The server rejects an argument of the call, such as an expired page token. Nothing was done."""


_BY_STATUS: dict[RPCStatusCode, type[TemporalCallError]] = {
    RPCStatusCode.NOT_FOUND: TemporalNotFoundError,
    RPCStatusCode.PERMISSION_DENIED: TemporalRefusedError,
    RPCStatusCode.UNIMPLEMENTED: TemporalRefusedError,
    RPCStatusCode.INVALID_ARGUMENT: TemporalArgumentError,
}


_RPC_SHARE = 0.95


def rpc_timeout(limit_s: float) -> timedelta:
    """Return the `rpc_timeout` for one call in a block of `calling_temporal(limit_s)`.

    It is a little shorter than the limit, so that the call times out itself. If the call were cancelled at the limit,
    its task would end with an error that nobody retrieves, and asyncio would log it.
    """
    return timedelta(seconds=limit_s * _RPC_SHARE)


@asynccontextmanager
async def calling_temporal(limit_s: float | None = None) -> AsyncIterator[None]:
    """Raise TemporalCallError, or one of its subclasses, if a call in this block is not confirmed.

    All calls together may take `limit_s` seconds; None for the client's own timeouts. Answers of a workflow, such as
    WorkflowAlreadyStartedError and WorkflowUpdateFailedError, are not call errors and are raised unchanged.
    """
    try:
        async with asyncio.timeout(limit_s):
            yield
    except (TimeoutError, RPCTimeoutOrCancelledError) as error:
        raise TemporalTimeoutError(_message(error)) from error
    except RPCError as error:
        raise _BY_STATUS.get(error.status, TemporalCallError)(_message(error)) from error
    except RuntimeError as error:
        # The client raises RuntimeError if it cannot connect.
        raise TemporalCallError(_message(error)) from error


def _message(error: Exception) -> str:
    return str(error) or type(error).__name__
