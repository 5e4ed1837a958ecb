"""Gauges that each scrape reads from the ledger. All API processes expose the same values: aggregate them with max."""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ledger import Gauges
from settlement.reconciliation import FindingKind
from settlement.states import END_STATES, State

OPEN_STATES = [state for state in State if state not in END_STATES]

NEVER = math.inf
"""Age of the last round of reconciliation before the first round: above every alert limit."""

_NO_VALUES = Gauges(
    open_by_state={},
    oldest_cancelling_at=None,
    in_doubt=0,
    in_doubt_amounts={},
    open_findings={},
    findings={},
    last_round_at=None,
)

Family = GaugeMetricFamily | CounterMetricFamily


class _FixedCollector(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        return self._families


def exposition(gauges: Gauges | None, *, ledger_is_up: bool) -> bytes:
    """Return the gauges in Prometheus' text format.

    If `gauges` is None, they could not be read. Each metric is then exposed with its help text and without a sample:
    an old value would look current, and a missing metric would look like a wrong name.
    """
    families = list(_families(gauges or _NO_VALUES))
    if gauges is None:
        for family in families:
            family.samples.clear()
    up = _gauge("settlement_ledger_up", "1 if the ledger answered this scrape, else 0.", float(ledger_is_up))
    read = _gauge(
        "settlement_ledger_gauges_up",
        "1 if the gauges from the ledger were read in time for this scrape, else 0.",
        float(gauges is not None),
    )
    registry = CollectorRegistry()
    registry.register(_FixedCollector([up, read, *families]))
    return generate_latest(registry)


def _families(gauges: Gauges) -> Iterator[Family]:
    by_state = {state.value: gauges.open_by_state.get(state, 0) for state in OPEN_STATES}
    yield _labelled_gauge("settlement_open", "Settlements in the ledger that have not ended.", "state", by_state)
    by_kind = {kind.value: gauges.open_findings.get(kind, 0) for kind in FindingKind}
    yield _labelled_gauge("settlement_findings_open", "Findings that an operator must look at.", "kind", by_kind)
    yield _findings(gauges)
    yield _labelled_gauge(
        "settlement_in_doubt_amount",
        "Money that the external system may hold although the order is void, in units of the currency.",
        "currency",
        gauges.in_doubt_amounts,
    )
    yield _gauge("settlement_in_doubt", "Settlements with money in doubt.", gauges.in_doubt)
    yield _gauge(
        "settlement_oldest_cancelling_age_seconds",
        "Time since acceptance of the oldest CANCELLING settlement; 0 if there is none.",
        _age_s(gauges.oldest_cancelling_at, default=0),
    )
    yield _gauge(
        "settlement_reconciliation_age_seconds",
        "Time since the last round of reconciliation ended; +Inf before the first.",
        _age_s(gauges.last_round_at, default=NEVER),
    )


def _findings(gauges: Gauges) -> CounterMetricFamily:
    family = CounterMetricFamily("settlement_findings", "Findings of reconciliation, repaired or not.", labels=["kind"])
    for kind in FindingKind:
        family.add_metric([kind.value], gauges.findings.get(kind, 0))
    return family


def _labelled_gauge(name: str, documentation: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, value=value)


def _age_s(moment: datetime | None, *, default: float) -> float:
    """Return the seconds since a moment, at least 0: the clock of the machine that recorded it may be ahead."""
    return default if moment is None else max(0.0, (datetime.now(UTC) - moment).total_seconds())
