"""A real Temporal server: for what the time-skipping one does not have, such as lists, schedules and deletion."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from config.temporal import register_search_attributes
from tests.support.binaries import beside_python, started
from tests.support.orders import new_number
from tests.support.polling import until
from tests.support.sagas import IDENTITY
from workflows.runtime import DATA_CONVERTER
from workflows.visibility import SEARCH_ATTRIBUTES


@asynccontextmanager
async def dev_server() -> AsyncIterator[Client]:
    """Run one, with our search attributes, and yield a client."""
    async with await started(
        lambda: WorkflowEnvironment.start_local(
            data_converter=DATA_CONVERTER,
            identity=IDENTITY,
            dev_server_existing_path=beside_python("temporal"),
            dev_server_extra_args=["--dynamic-config-value", "history.transferProcessorMaxPollRPS=10000"],
            dev_server_log_level="error",
        )
    ) as environment:
        await register_search_attributes(environment.client, SEARCH_ATTRIBUTES)
        yield environment.client


async def new_namespace(server: Client) -> Client:
    """Return a client of an empty namespace on a server: 15 ms, where a server of the test's own takes 500."""
    name = new_number("test").lower()
    keep = Duration(seconds=86_400)
    await server.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=keep)
    )
    client = await Client.connect(
        server.service_client.config.target_host, namespace=name, data_converter=DATA_CONVERTER, identity=IDENTITY
    )
    await register_search_attributes(client, SEARCH_ATTRIBUTES)
    return client


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
