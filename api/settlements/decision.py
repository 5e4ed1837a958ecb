"""Start the workflow of a settlement, and wait for its decision as long as the caller wants to."""

import asyncio
import re
from collections.abc import Sequence

from temporalio.client import WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.local_decisions import LocalDecisions
from activities.temporal_calls import TemporalCallError, TemporalTimeoutError, calling_temporal, rpc_timeout
from api.temporal_access import TemporalAccess, unconfirmed
from settlement.limits import ADJUST_DEADLINE_S, REPORT_MARGIN_S
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput, TakeUp
from settlement.states import State
from workflows.order_settlement import OrderSettlement
from workflows.start import DECISION_UPDATE_ID, start_operation, start_workflow

START_LIMIT_S = 3.0
"""How long a start may take if the caller does not wait for the decision."""
CONFIRM_SHARE = 0.25
CONFIRM_MAX_S = 1.0
"""Part of the wait that is reserved to confirm the start of a settlement without a decision."""

TOLD_WITHIN_S = ADJUST_DEADLINE_S + REPORT_MARGIN_S
"""How long the worker of this process may take to tell a decision, before the workflow is asked for it."""

WAIT_MAX_S = 60

_PREFERENCES = re.compile(r'(?:[^,"]|"(?:\\.|[^"\\])*"?)+')
"""Splits at commas outside quotes."""
_WAIT = re.compile(r"wait\s*=\s*(\"?)([0-9]+)\1")
_DIGITS_MAX = 9

IN_DOUBT = (
    "Temporal did not confirm in time: do not let the order proceed; post the same request again or read its state"
)


async def start(temporal: TemporalAccess, settlement: SettlementInput, taken_up: TakeUp | None = None) -> bool:
    """Start the workflow unless it was started before; return whether it is open. Repeating it joins that workflow.

    Raises ProblemError TEMPORAL_UNAVAILABLE if Temporal does not confirm: the workflow may have been started.
    """
    return await _start(temporal, settlement, taken_up, START_LIMIT_S)


async def start_and_decide(
    temporal: TemporalAccess, settlement: SettlementInput, taken_up: TakeUp | None, wait_s: float
) -> Snapshot | None:
    """Start the workflow unless it was started before, and return its decision; None if it is not decided in time.

    Takes at most `wait_s` seconds. Without a running worker, the call times out although the workflow has started. So
    the last part of the wait is used to confirm the start.

    Raises ProblemError TEMPORAL_UNAVAILABLE if Temporal does not confirm: the workflow may have been started.
    """
    confirm_s = min(CONFIRM_MAX_S, wait_s * CONFIRM_SHARE)
    decide_s = wait_s - confirm_s
    operation = start_operation(settlement, taken_up)
    try:
        async with calling_temporal(decide_s):
            client = await temporal.client()
            decided: Snapshot = await client.execute_update_with_start_workflow(
                OrderSettlement.decision,
                id=DECISION_UPDATE_ID,
                start_workflow_operation=operation,
                rpc_timeout=rpc_timeout(decide_s),
            )
            return decided
    except TemporalTimeoutError:
        await _start(temporal, settlement, taken_up, confirm_s)
    except (WorkflowAlreadyStartedError, WorkflowUpdateFailedError):
        # The workflow has closed. If it completed, its end state is in the ledger.
        return None
    except TemporalCallError as error:
        raise unconfirmed(error, IN_DOUBT) from error
    finally:
        await _read_start(operation)
    return None


async def start_here(
    temporal: TemporalAccess, decisions: LocalDecisions, settlement: SettlementInput, wait_s: float
) -> Snapshot | None:
    """As `start_and_decide`, for a new order if the worker runs in this process (ADR 0024).

    Temporal returns the first workflow task with the answer to the start, and the decision is not asked for: the worker
    tells it. If it does not, because another worker has taken the workflow over, the workflow is asked.
    """
    ends_at = asyncio.get_running_loop().time() + wait_s
    with decisions.expected(settlement.settlement_id) as told:
        if not await _start(temporal, settlement, None, min(START_LIMIT_S, wait_s), eager=True):
            return None
        until = min(ends_at, asyncio.get_running_loop().time() + TOLD_WITHIN_S)
        await asyncio.wait({told}, timeout=until - asyncio.get_running_loop().time())
        if told.done() and (decided := told.result()) is not None:
            return decided
    left_s = ends_at - asyncio.get_running_loop().time()
    return await start_and_decide(temporal, settlement, None, left_s) if left_s > 0 else None


async def _read_start(operation: WithStartWorkflowOperation[OrderSettlement, State]) -> None:
    """Read the result of the start, which the client keeps in a future. Otherwise asyncio logs an unread error."""
    started = asyncio.create_task(operation.workflow_handle())
    started.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.wait({started}, timeout=0.01)
    started.cancel()


async def _start(
    temporal: TemporalAccess,
    settlement: SettlementInput,
    taken_up: TakeUp | None,
    limit_s: float,
    *,
    eager: bool = False,
) -> bool:
    try:
        async with calling_temporal(limit_s):
            await start_workflow(await temporal.client(), settlement, taken_up, eager=eager)
    except WorkflowAlreadyStartedError:
        return False
    except TemporalCallError as error:
        raise unconfirmed(error, IN_DOUBT) from error
    return True


def wait_seconds(prefer: Sequence[str]) -> int:
    """Return the wait that the `Prefer` header requests, in whole seconds, at most `WAIT_MAX_S`; 0 without a valid one.

    The lines of the header form one list. Only the first wait counts; an invalid one is ignored (RFC 7240, 2).
    """
    preferences = (each.split(";")[0].strip().lower() for line in prefer for each in _PREFERENCES.findall(line))
    wait = next((each for each in preferences if each.split("=")[0].strip() == "wait"), "")
    match = _WAIT.fullmatch(wait)
    if match is None:
        return 0
    return WAIT_MAX_S if len(match[2]) > _DIGITS_MAX else min(int(match[2]), WAIT_MAX_S)
