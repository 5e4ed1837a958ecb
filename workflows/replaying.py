"""Replays the histories of all open workflows of a Temporal server with this code. It only reads."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import Client, WorkflowExecution, WorkflowHistory
from temporalio.runtime import Runtime
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from activities.temporal_calls import TemporalNotFoundError, calling_temporal
from workflows.batch_retry.workflow import BatchRetry
from workflows.order_settlement import OrderSettlement
from workflows.reconciliation.workflow import Reconciliation
from workflows.runtime import workflow_runner

WORKFLOWS: tuple[type, ...] = (OrderSettlement, BatchRetry, Reconciliation)
"""All workflow types of this project."""

OPEN_WORKFLOWS = "ExecutionStatus = 'Running' AND WorkflowType IN ('OrderSettlement', 'BatchRetry', 'Reconciliation')"
PAGE_SIZE = 100
_RPC = timedelta(seconds=10)


@dataclass(frozen=True)
class ReplayResult:
    """Result of replaying one open workflow."""

    workflow_id: str
    run_id: str
    problem: str | None
    """Why this code cannot continue the workflow; None if it can."""


async def replay_open(
    client: Client, *, limit: int | None = None, runtime: Runtime | None = None
) -> AsyncIterator[ReplayResult]:
    """Yield the result for each open workflow, at most `limit`. Only one history is in memory at a time.

    `runtime` is the SDK's runtime, which controls its logs. A workflow that is deleted in the meantime is left out.
    Must be called within `calling_temporal`, because listing workflows raises the client's own errors.
    """
    replayer = Replayer(
        workflows=WORKFLOWS,
        workflow_runner=workflow_runner(),
        data_converter=client.data_converter,
        namespace=client.namespace,
        runtime=runtime,
    )
    async with replayer.workflow_replay_iterator(_histories(client, limit)) as results:
        async for result in results:
            failure = result.replay_failure
            yield ReplayResult(
                workflow_id=result.history.workflow_id,
                run_id=result.history.run_id,
                problem=None if failure is None else _problem(failure),
            )


async def _histories(client: Client, limit: int | None) -> AsyncIterator[WorkflowHistory]:
    async for execution in client.list_workflows(OPEN_WORKFLOWS, page_size=PAGE_SIZE, limit=limit, rpc_timeout=_RPC):
        history = await _history(client, execution)
        if history is not None:
            yield history


async def _history(client: Client, execution: WorkflowExecution) -> WorkflowHistory | None:
    handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
    try:
        async with calling_temporal():
            return await handle.fetch_history(rpc_timeout=_RPC)
    except TemporalNotFoundError:
        return None


def _problem(failure: Exception) -> str:
    """Return the reason why a workflow cannot continue, in one line."""
    message = " ".join(str(failure).split())
    if isinstance(failure, NondeterminismError):
        return f"this code takes other steps than the history contains: {message}"
    return f"this code fails on the history: {message}"
