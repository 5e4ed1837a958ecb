"""A process does not start in a namespace whose search attributes have another type than ours."""

import pytest
from structlog.testing import capture_logs
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.testing import WorkflowEnvironment

from config.temporal import register_search_attributes
from tests.support.binaries import beside_python
from workflows.visibility import SEARCH_ATTRIBUTES


async def test_an_attribute_of_another_type_ends_the_process_and_logs_its_name_and_the_remedy() -> None:
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=beside_python("temporal"), dev_server_log_level="error"
    ) as environment:
        client = environment.client
        wrong = {"OrderId": IndexedValueType.INDEXED_VALUE_TYPE_INT}
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=wrong)
        )
        with capture_logs() as logs, pytest.raises(SystemExit) as ended:
            await register_search_attributes(client, SEARCH_ATTRIBUTES)
        assert ended.value.code == 2
        assert (logs[-1]["log_level"], logs[-1]["names"]) == ("error", ["OrderId"])
        assert "temporal operator search-attribute remove" in logs[-1]["remedy"]
