"""Starts the workflow of a settlement. Repeating the start is safe."""

from datetime import datetime
from typing import Any

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from settlement.ids import workflow_id
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput, SettlementStart, TakeUp
from settlement.states import State
from workflows.order_settlement import OrderSettlement
from workflows.runtime import SETTLEMENT_TASK_QUEUE, fairness
from workflows.visibility import search_attributes, static_summary

DECISION_UPDATE_ID = "decision"
"""The same id for every caller, so that many callers waiting for the decision are one Update in the history."""


def _options(
    settlement: SettlementInput,
    taken_up: TakeUp | None,
    reuse: WorkflowIDReusePolicy = WorkflowIDReusePolicy.REJECT_DUPLICATE,
) -> dict[str, Any]:
    """Return start options that allow one workflow per settlement: a running one is joined, a closed one rejected.

    There is no execution or run timeout, because a timeout would close a settlement while money is in doubt.
    """
    return {
        "id": workflow_id(settlement.settlement_id),
        "task_queue": SETTLEMENT_TASK_QUEUE,
        "id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING,
        "id_reuse_policy": reuse,
        "search_attributes": search_attributes(settlement, taken_up.snapshot.state if taken_up else State.ADJUSTING),
        "static_summary": static_summary(settlement),
        "priority": fairness(settlement.company_id),
        "arg": SettlementStart(**dict(settlement), taken_up=taken_up),
    }


def start_operation(
    settlement: SettlementInput, taken_up: TakeUp | None = None
) -> WithStartWorkflowOperation[OrderSettlement, State]:
    """Return the start operation for update-with-start. Repeating it starts no second workflow."""
    return WithStartWorkflowOperation(OrderSettlement.run, **_options(settlement, taken_up))


async def start_workflow(
    client: Client, settlement: SettlementInput, taken_up: TakeUp | None = None, *, eager: bool = False
) -> WorkflowHandle[OrderSettlement, State]:
    """Start the settlement's workflow and return its handle. Repeating it returns the running workflow.

    With `eager`, Temporal may return the first workflow task to the worker of this client with its answer.

    Raises WorkflowAlreadyStartedError if it has closed. Must be called within `calling_temporal`, which translates
    errors of Temporal.
    """
    options = _options(settlement, taken_up)
    return await client.start_workflow(OrderSettlement.run, **options, request_eager_start=eager)


async def take_up(
    client: Client, settlement: SettlementInput, taken_up: TakeUp
) -> WorkflowHandle[OrderSettlement, State]:
    """Start a workflow that continues a lost settlement. Repeating it returns the running workflow.

    Only reconciliation does this, because it has read the lost workflow's snapshot, which may be newer than the
    ledger's. Raises WorkflowAlreadyStartedError if the previous workflow completed normally. Must be called within
    `calling_temporal`, which translates errors of Temporal.
    """
    after_failure_only = WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
    return await client.start_workflow(OrderSettlement.run, **_options(settlement, taken_up, after_failure_only))


def take_up_if_stale(settlement: SettlementInput, snapshot: Snapshot, now: datetime) -> TakeUp | None:
    """Return the `taken_up` for the start of an accepted settlement that no workflow has reported yet.

    Returns None before the order expires: the adjust may be sent. After that, an earlier workflow may have existed
    that Temporal has lost. A new workflow must then not conclude that nothing was sent, so it begins with the
    compensation. A running workflow is joined regardless of `taken_up`; a workflow that was ended from outside is left
    to reconciliation.
    """
    if now < settlement.expires_at:
        return None
    return TakeUp(snapshot=snapshot, reason="it expired, and no workflow of it was found")
