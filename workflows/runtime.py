"""How this project's workflows run: shared by worker, API, tests and replayer, so that they cannot differ."""

from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

DATA_CONVERTER = pydantic_data_converter

SETTLEMENT_TASK_QUEUE = "order-settlement"
"""Workflows and adjusts. Cancels that a release before `CANCEL_TASK_QUEUE` has scheduled wait here too."""
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
            "activities", "connector", "contract", "ledger", "pydantic", "pydantic_core"
        )
    )
