"""Calls of Temporal, with each way in which they fail as one error of ours. Nothing else reads the client's errors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.client import RPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode


class TemporalCallError(Exception):
    """Temporal did not confirm a call: it is away or overloaded. What was asked for may have been done, or not."""


class TemporalTimeoutError(TemporalCallError):
    """The call was not answered in time. An Update is answered by a worker, so perhaps none is running."""


class TemporalNotFoundError(TemporalCallError):
    """Temporal does not have what the call names: no open workflow, no schedule. Nothing was done."""


class TemporalRefusedError(TemporalCallError):
    """The server does not let this client make the call, or does not have it. Nothing was done."""


class TemporalArgumentError(TemporalCallError):
    """The server does not accept what the call says, such as a page token that has expired. Nothing was done."""


_BY_STATUS: dict[RPCStatusCode, type[TemporalCallError]] = {
    RPCStatusCode.NOT_FOUND: TemporalNotFoundError,
    RPCStatusCode.PERMISSION_DENIED: TemporalRefusedError,
    RPCStatusCode.UNIMPLEMENTED: TemporalRefusedError,
    RPCStatusCode.INVALID_ARGUMENT: TemporalArgumentError,
}


@asynccontextmanager
async def calling_temporal(limit_s: float | None = None) -> AsyncIterator[None]:
    """Raise TemporalCallError for whatever keeps the calls in this block from being confirmed.

    They may take `limit_s` seconds together; None: as long as the client waits. Answers of a workflow, such as
    WorkflowAlreadyStartedError and WorkflowUpdateFailedError, are no failures of a call: they are left as they are.
    """
    try:
        async with asyncio.timeout(limit_s):
            yield
    except (TimeoutError, RPCTimeoutOrCancelledError) as error:
        raise TemporalTimeoutError(_in_words(error)) from error
    except RPCError as error:
        raise _BY_STATUS.get(error.status, TemporalCallError)(_in_words(error)) from error
    except RuntimeError as error:
        # How the client reports that it could not connect at all.
        raise TemporalCallError(_in_words(error)) from error


def _in_words(error: Exception) -> str:
    return str(error) or type(error).__name__
