"""A real Temporal server: for what the time-skipping one does not have, such as lists, schedules and deletion."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from config.temporal import register_search_attributes
from tests.support.binaries import beside_python
from tests.support.polling import until
from tests.support.sagas import IDENTITY
from workflows.runtime import DATA_CONVERTER
from workflows.visibility import SEARCH_ATTRIBUTES


@asynccontextmanager
async def dev_server() -> AsyncIterator[Client]:
    """Run one, with our search attributes, and yield a client."""
    async with await WorkflowEnvironment.start_local(
        data_converter=DATA_CONVERTER,
        identity=IDENTITY,
        dev_server_existing_path=beside_python("temporal"),
        dev_server_extra_args=["--dynamic-config-value", "history.transferProcessorMaxPollRPS=10000"],
        dev_server_log_level="error",
    ) as environment:
        await register_search_attributes(environment.client, SEARCH_ATTRIBUTES)
        yield environment.client


async def delete_workflow(client: Client, workflow_id: str) -> None:
    """Delete a workflow, running or not, and wait until Temporal knows it no more."""
    execution = WorkflowExecution(workflow_id=workflow_id)
    request = DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
    await client.workflow_service.delete_workflow_execution(request)

    async def forgotten() -> bool:
        try:
            await client.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            return error.status is RPCStatusCode.NOT_FOUND
        return False

    await until(forgotten, what=f"{workflow_id} to be forgotten")
