"""Start a settlement's workflow and wait for its decision, for as long as the caller cares to."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import structlog
from temporalio.client import Client, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from api.problems import ProblemError
from contract.errors import ErrorCode
from contract.payloads import SettlementInput, Snapshot
from workflows.order_settlement import OrderSettlement
from workflows.start import DECISION_UPDATE_ID, start_operation, start_workflow

log = structlog.get_logger()

START_LIMIT_S = 3.0
"""How long a start may take when the caller does not wait for the decision."""
CONFIRM_SHARE = 0.25
CONFIRM_MAX_S = 1.0
"""The end of the wait, kept back to find out whether a settlement without a decision was started at all."""

T = TypeVar("T")


async def start(client: Client, settlement: SettlementInput) -> None:
    """Start the workflow unless it has been; return once Temporal has confirmed it.

    Raises ProblemError TEMPORAL_UNAVAILABLE: in doubt, Temporal may have it or not.
    """
    await _within(START_LIMIT_S, _start(client, settlement))


async def start_and_decide(client: Client, settlement: SettlementInput, wait_s: float) -> Snapshot | None:
    """Start the workflow unless it has been, and return its decision; None: started, not decided in time.

    Takes at most `wait_s` seconds. With no worker running, Temporal answers the wait only by running
    out of it, although the workflow has started; so the end of the wait goes into asking for that.

    Raises ProblemError TEMPORAL_UNAVAILABLE: in doubt, Temporal may have it or not.
    """
    confirm_s = min(CONFIRM_MAX_S, wait_s * CONFIRM_SHARE)
    try:
        async with asyncio.timeout(wait_s - confirm_s):
            decided: Snapshot = await client.execute_update_with_start_workflow(
                OrderSettlement.decision,
                id=DECISION_UPDATE_ID,
                start_workflow_operation=start_operation(settlement),
            )
            return decided
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        await _within(confirm_s, _start(client, settlement))
    except (WorkflowAlreadyStartedError, WorkflowUpdateFailedError):
        # It has closed in the meantime, and a workflow closes only when its end is in the ledger.
        return None
    except (RPCError, RuntimeError) as error:
        raise _unavailable(error) from error
    return None


async def _start(client: Client, settlement: SettlementInput) -> None:
    try:
        await start_workflow(client, settlement)
    except WorkflowAlreadyStartedError:
        return


async def _within(limit_s: float, call: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(limit_s):
            return await call
    except (TimeoutError, RPCError, RuntimeError) as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> ProblemError:
    """Turn whatever kept Temporal from answering into the one error a caller can act on.

    RuntimeError is how the client reports that it could not connect at all.
    """
    log.error("temporal unavailable", error=str(error) or type(error).__name__)
    return ProblemError(
        ErrorCode.TEMPORAL_UNAVAILABLE,
        "Temporal did not confirm in time: do not let the order proceed; post the same request again or read its state",
    )
