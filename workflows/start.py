"""The one way a settlement's workflow is started, by whoever starts it and however often."""

from typing import Any

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from contract.ids import workflow_id
from contract.payloads import SettlementInput, Snapshot
from workflows.order_settlement import OrderSettlement
from workflows.runtime import SETTLEMENT_TASK_QUEUE
from workflows.visibility import search_attributes, static_summary

DECISION_UPDATE_ID = "decision"
"""One id for every caller: sixty who wait for the same decision are one Update in the history."""


def _options(settlement: SettlementInput) -> dict[str, Any]:
    """Return the options that keep a number to one workflow: a running one is joined, a closed one refused.

    There is no execution or run timeout: time must never close a settlement that holds money.
    """
    return {
        "id": workflow_id(settlement.adjust.requestUniqueNo),
        "task_queue": SETTLEMENT_TASK_QUEUE,
        "id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING,
        "id_reuse_policy": WorkflowIDReusePolicy.REJECT_DUPLICATE,
        "search_attributes": search_attributes(settlement),
        "static_summary": static_summary(settlement),
    }


def start_operation(settlement: SettlementInput) -> WithStartWorkflowOperation[OrderSettlement, Snapshot]:
    """Return the start of the settlement's workflow, for use with an Update; repeating it starts no second one."""
    return WithStartWorkflowOperation(OrderSettlement.run, settlement, **_options(settlement))


async def start_workflow(client: Client, settlement: SettlementInput) -> WorkflowHandle[OrderSettlement, Snapshot]:
    """Start the settlement's workflow and return its handle; repeating it joins the running one.

    Raises WorkflowAlreadyStartedError if it has closed, RPCError if Temporal does not confirm.
    """
    return await client.start_workflow(OrderSettlement.run, settlement, **_options(settlement))
