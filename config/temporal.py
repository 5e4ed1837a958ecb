"""The way to Temporal: its own environment variables, so one build runs on any server or on Temporal Cloud."""

from collections.abc import Sequence
from typing import Any

import structlog
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client, Interceptor
from temporalio.common import SearchAttributeKey
from temporalio.converter import DataConverter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime

log = structlog.get_logger()

TYPE_OF: dict[int, IndexedValueType.ValueType] = {
    int(each): each for each in (IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,)
}


async def connect(
    data_converter: DataConverter,
    default_address: str,
    *,
    lazy: bool = False,
    runtime: Runtime | None = None,
    interceptors: Sequence[Interceptor] = (),
) -> Client:
    """Connect by TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_TLS…, TEMPORAL_API_KEY or Temporal's config file.

    With `lazy` the connection is made by the first call, so that a process can start without a server.
    A `runtime` serves the metrics of this client and its workers; without one there are none. Workers take over
    those `interceptors` that are theirs too.
    """
    config: dict[str, Any] = {"target_host": default_address, **ClientConfig.load_client_connect_config()}
    return await Client.connect(
        **config, data_converter=data_converter, lazy=lazy, runtime=runtime, interceptors=interceptors
    )


async def register_search_attributes(client: Client, keys: Sequence[SearchAttributeKey[Any]]) -> None:
    """Register the missing ones. Raises the client's own error where the server does not let us.

    Repeating it changes nothing. A settlement cannot start while one is missing or has another type: the server refuses
    it. So one of another type ends the process, with exit code 2 and one line; only an administrator can remove it.
    """
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    needed = {key.name: TYPE_OF[int(key.indexed_value_type)] for key in keys}
    wrong = sorted(name for name in needed if known.custom_attributes.get(name, needed[name]) != needed[name])
    if wrong:
        remedy = "remove them (temporal operator search-attribute remove) or use an empty state directory"
        log.error("search attributes have the wrong type", names=wrong, namespace=client.namespace, remedy=remedy)
        raise SystemExit(2)
    missing = {name: kind for name, kind in needed.items() if name not in known.custom_attributes}
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
        )
        log.info("search attributes registered", names=sorted(missing))
