"""Where the worker serves its metrics: the SDK's own exporter, for the SDK's metrics and ours."""

import sys
from collections.abc import Mapping, Sequence

from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from config.settings import ENV_PREFIX


def prometheus_runtime(host: str, port: int, buckets: Mapping[str, Sequence[float]]) -> Runtime:
    """Return a Temporal runtime that serves `/metrics` from now on, for as long as the process lives.

    `host` is an IP address. `buckets` are those of our own histograms, by name without suffix. A second one on
    the same port is refused: it says so in one line and exits with 2, as for any setting that cannot hold.
    """
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    exporter = PrometheusConfig(
        bind_address=address,
        # Prometheus' own conventions; the names in docs/metrics.md and deploy/prometheus rest on them.
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
