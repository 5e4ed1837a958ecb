"""Settings that worker, API, tests and replayer must share: task queues, data converter, sandbox, priorities."""

from temporalio import workflow
from temporalio.common import Priority
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

DATA_CONVERTER = pydantic_data_converter

SETTLEMENT_TASK_QUEUE = "order-settlement"
"""Workflows and adjusts."""
CANCEL_TASK_QUEUE = "order-settlement-cancels"
"""Cancels, on separate slots, so that slow cancels do not delay adjusts, and slow adjusts do not delay cancels."""
LEDGER_TASK_QUEUE = "order-settlement-ledger"
"""Ledger writes, on separate slots, so that a ledger outage does not delay a compensation."""
RECONCILIATION_TASK_QUEUE = "order-settlement-reconciliation"
"""Reconciliation, on a few separate slots, so that thousands of lost workflows do not delay settlements."""

BATCH_TASK_QUEUE = "order-settlement-batches"
"""Chunks of batches, on a few separate slots: they wait for settlements and must not take the settlements' slots."""

HISTORY_EVENTS_MAX = 2_000
HISTORY_BYTES_MAX = 1_000_000
"""From this history size on, the workflow continues as new at the next possible point. With one more round of cancels
and its ledger write, it stays below a tenth of the server's limits (51,200 events, 50 MiB)."""


def workflow_runner() -> SandboxedWorkflowRunner:
    """Return the sandbox runner. It passes through the modules that workflows share with activities.

    Otherwise each of their classes would exist twice, inside and outside the sandbox. Also, reloading the pydantic
    models for each workflow costs a third more CPU.
    """
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(
            "activities", "connector", "contract", "ledger", "pydantic", "pydantic_core", "settlement"
        )
    )


def fairness(company_id: int | None) -> Priority:
    """Return the priority whose fairness key is the company, so that one company's backlog does not delay others.

    Orders without a company share one key. A server without fairness ignores it.
    """
    return Priority(fairness_key=None if company_id is None else str(company_id))


def history_is_long() -> bool:
    """Return whether this run's history exceeds our limits, or the server suggests to continue as new."""
    info = workflow.info()
    return (
        info.is_continue_as_new_suggested()
        or info.get_current_history_length() >= HISTORY_EVENTS_MAX
        or info.get_current_history_size() >= HISTORY_BYTES_MAX
    )
