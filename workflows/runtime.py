"""How this project's workflows run: shared by worker, API, tests and replayer, so that they cannot differ."""

from temporalio import workflow
from temporalio.common import Priority
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

DATA_CONVERTER = pydantic_data_converter

SETTLEMENT_TASK_QUEUE = "order-settlement"
"""Workflows and adjusts."""
CANCEL_TASK_QUEUE = "order-settlement-cancels"
"""Cancels, on slots of their own: those that hang must not keep an adjust from its 3 seconds, nor adjusts a cancel."""
LEDGER_TASK_QUEUE = "order-settlement-ledger"
"""Ledger writes, on slots of their own: during a ledger outage they must not crowd out a compensation."""
RECONCILIATION_TASK_QUEUE = "order-settlement-reconciliation"
"""Rounds of reconciliation, on few slots of their own: thousands of lost workflows must not crowd out a settlement."""

BATCH_TASK_QUEUE = "order-settlement-batches"
"""Chunks of batches, on few slots of their own: they wait for settlements, and must not crowd out what those need."""


def workflow_runner() -> SandboxedWorkflowRunner:
    """Return the sandbox, with the modules passed through that workflow and activities must share.

    A class loaded once inside the sandbox and once outside is two classes; and loading pydantic models
    anew for every workflow costs a third more CPU.
    """
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(
            "activities", "connector", "contract", "ledger", "pydantic", "pydantic_core", "settlement"
        )
    )


def fairness(company_id: int | None) -> Priority:
    """Return the priority by which one company's backlog does not stand before another's.

    Orders without a company take their turn together. A server without fairness ignores it.
    """
    return Priority(fairness_key=None if company_id is None else str(company_id))


HISTORY_EVENTS_MAX = 2_000
HISTORY_BYTES_MAX = 1_000_000
"""Size of a history from which on the workflow continues as new where it can: one more round of cancels and its ledger
write fit in below a tenth of the server's limits (51,200 events, 50 MiB)."""


def history_is_long() -> bool:
    """Tell whether the history of this run has become long, by our own limits or the server's suggestion."""
    info = workflow.info()
    return (
        info.is_continue_as_new_suggested()
        or info.get_current_history_length() >= HISTORY_EVENTS_MAX
        or info.get_current_history_size() >= HISTORY_BYTES_MAX
    )
