"""The one way a settlement's workflow is started, by whoever starts it and however often."""

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
from workflows.visibility import HOW_TO_ACT, search_attributes, static_summary

DECISION_UPDATE_ID = "decision"
"""One id for every caller: sixty who wait for the same decision are one Update in the history."""


def _options(
    settlement: SettlementInput,
    taken_up: TakeUp | None,
    reuse: WorkflowIDReusePolicy = WorkflowIDReusePolicy.REJECT_DUPLICATE,
) -> dict[str, Any]:
    """Return the options that keep a number to one workflow: a running one is joined, a closed one refused.

    There is no execution or run timeout: time must never close a settlement that holds money.
    """
    return {
        "id": workflow_id(settlement.adjust.requestUniqueNo),
        "task_queue": SETTLEMENT_TASK_QUEUE,
        "id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING,
        "id_reuse_policy": reuse,
        "search_attributes": search_attributes(settlement, taken_up.snapshot.state if taken_up else State.ADJUSTING),
        "static_summary": static_summary(settlement),
        "static_details": HOW_TO_ACT,
        "priority": fairness(settlement.company_id),
        "arg": SettlementStart(**dict(settlement), taken_up=taken_up),
    }


def start_operation(
    settlement: SettlementInput, taken_up: TakeUp | None = None
) -> WithStartWorkflowOperation[OrderSettlement, Snapshot]:
    """Return the start of the settlement's workflow, for use with an Update; repeating it starts no second one."""
    return WithStartWorkflowOperation(OrderSettlement.run, **_options(settlement, taken_up))


async def start_workflow(
    client: Client, settlement: SettlementInput, taken_up: TakeUp | None = None
) -> WorkflowHandle[OrderSettlement, Snapshot]:
    """Start the settlement's workflow and return its handle; repeating it joins the running one.

    Raises WorkflowAlreadyStartedError if it has closed. Call it within `calling_temporal`, as Temporal may not confirm.
    """
    return await client.start_workflow(OrderSettlement.run, **_options(settlement, taken_up))


async def take_up(
    client: Client, settlement: SettlementInput, taken_up: TakeUp
) -> WorkflowHandle[OrderSettlement, Snapshot]:
    """Start a workflow that goes on for one that was lost, or ended from outside; repeating it joins the running one.

    Only reconciliation does this: it has asked the lost workflow what it knew, which may be more than the ledger has.

    Raises WorkflowAlreadyStartedError if the one before came to its end by itself. Call it within `calling_temporal`,
    as Temporal may not confirm.
    """
    after_lost_ones = WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
    return await client.start_workflow(OrderSettlement.run, **_options(settlement, taken_up, after_lost_ones))


def take_up_if_stale(settlement: SettlementInput, snapshot: Snapshot, now: datetime) -> TakeUp | None:
    """Return what a start of an accepted settlement must carry, if none of its workflows has reported anything yet.

    None: it is young enough to be sent. A stale one may have had a workflow before, which Temporal has lost; so
    a workflow that would have to be made for it now must not conclude that nothing was ever sent. One that
    still waits in Temporal is joined, whatever the start carries; one that was ended from outside is left to
    reconciliation.
    """
    if now < settlement.expires_at:
        return None
    return TakeUp(snapshot=snapshot, reason="it expired, and no workflow of it was found")
