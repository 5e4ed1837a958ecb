"""Connects to Temporal by its own environment variables, registers search attributes, and serves metrics."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client, Interceptor
from temporalio.common import SearchAttributeKey
from temporalio.converter import DataConverter
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from config.settings import ENV_PREFIX
from config.temporal_connection import TemporalSettingsError, connection_settings, unreachable

log = structlog.get_logger()

SEARCH_ATTRIBUTE_TYPES: dict[int, IndexedValueType.ValueType] = {
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
    """Connect as TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_TLS…, TEMPORAL_API_KEY or Temporal's config file say.

    The same build can so use any server or Temporal Cloud. A server's certificate is always verified. With `lazy`, the
    first call connects, so that a process can start while the server is down; an error then comes from that call.
    `runtime` serves the metrics of this client and its workers; without it there are none. Workers also use those
    `interceptors` that are worker interceptors.

    Wrong variables end the process with 2 and one line, as wrong settings do. Raises TemporalUnreachableError, never
    with `lazy`.
    """
    try:
        config = connection_settings(default_address)
    except TemporalSettingsError as wrong:
        print(wrong, file=sys.stderr)  # noqa: T201 - as settings do
        raise SystemExit(2) from None
    try:
        return await Client.connect(
            **config, data_converter=data_converter, lazy=lazy, runtime=runtime, interceptors=interceptors
        )
    except RuntimeError as error:
        raise unreachable(config["target_host"], error) from None


async def register_search_attributes(client: Client, keys: Sequence[SearchAttributeKey[Any]]) -> None:
    """Register the search attributes that are missing. Raises the client's own error if that is not permitted.

    Repeating it changes nothing. The server refuses to start a settlement while an attribute is missing or has another
    type. If one has another type, exit with 2 and one line: only an administrator can remove it.
    """
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    needed = {key.name: SEARCH_ATTRIBUTE_TYPES[int(key.indexed_value_type)] for key in keys}
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


def prometheus_runtime(host: str, port: int, buckets: Mapping[str, Sequence[float]]) -> Runtime:
    """Return a Temporal runtime that serves `/metrics` from now until the process ends.

    `host` is an IP address. `buckets` are the buckets of this project's histograms, by name without suffix. If the
    address cannot be used, for example because the port is taken, exit with 2 and one line.
    """
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    exporter = PrometheusConfig(
        bind_address=address,
        # Prometheus' own conventions; the names in docs/metrics.md and deploy/prometheus depend on them.
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
        histogram_bucket_overrides=buckets,
    )
    try:
        return Runtime(telemetry=TelemetryConfig(metrics=exporter, attach_service_name=False))
    except ValueError as error:
        setting = f"{ENV_PREFIX}WORKER_METRICS_PORT"
        print(f"{setting}: cannot serve metrics on {address}: {error}", file=sys.stderr)  # noqa: T201 - as settings do
        raise SystemExit(2) from None
