"""Gauges that are read from the ledger when they are asked for. Every API process shows the same: take their max."""

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
"""Age of a round of reconciliation where there was none: above every limit."""

_NOTHING = Gauges(
    open_by_state={},
    oldest_cancelling_at=None,
    in_doubt=0,
    in_doubt_amounts={},
    open_findings={},
    findings={},
    last_round_at=None,
)

Family = GaugeMetricFamily | CounterMetricFamily


class _Fixed(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        return self._families


def exposition(gauges: Gauges | None, *, ledger_is_up: bool) -> bytes:
    """Return them in Prometheus' format; None: they were not read, and a last known value would look like a fact.

    A name stays in either way, with its help and no sample, so that it can be told from a name that is wrong.
    """
    families = list(_families(gauges or _NOTHING))
    if gauges is None:
        for family in families:
            family.samples.clear()
    up = _one("settlement_ledger_up", "1 if the ledger answered this scrape, else 0.", float(ledger_is_up))
    read = _one(
        "settlement_ledger_gauges_up",
        "1 if the gauges from the ledger were read in time for this scrape, else 0.",
        float(gauges is not None),
    )
    registry = CollectorRegistry()
    registry.register(_Fixed([up, read, *families]))
    return generate_latest(registry)


def _families(gauges: Gauges) -> Iterator[Family]:
    by_state = {state.value: gauges.open_by_state.get(state, 0) for state in OPEN_STATES}
    yield _by("settlement_open", "Settlements in the ledger that have not ended.", "state", by_state)
    by_kind = {kind.value: gauges.open_findings.get(kind, 0) for kind in FindingKind}
    yield _by("settlement_findings_open", "Findings that a person must look at.", "kind", by_kind)
    yield _findings(gauges)
    yield _by(
        "settlement_in_doubt_amount",
        "Money that the external system may hold although its order is void, in units of the currency.",
        "currency",
        gauges.in_doubt_amounts,
    )
    yield _one("settlement_in_doubt", "Settlements that this money belongs to.", gauges.in_doubt)
    yield _one(
        "settlement_oldest_cancelling_age_seconds",
        "Time since acceptance of the oldest settlement that is CANCELLING; 0 where none is.",
        _age(gauges.oldest_cancelling_at, without=0),
    )
    yield _one(
        "settlement_reconciliation_age_seconds",
        "Time since the last round of reconciliation ended; +Inf before the first.",
        _age(gauges.last_round_at, without=NEVER),
    )


def _findings(gauges: Gauges) -> CounterMetricFamily:
    family = CounterMetricFamily(
        "settlement_findings", "Findings of reconciliation, put right or not.", labels=["kind"]
    )
    for kind in FindingKind:
        family.add_metric([kind.value], gauges.findings.get(kind, 0))
    return family


def _by(name: str, documentation: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _one(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, value=value)


def _age(moment: datetime | None, *, without: float) -> float:
    """Return the seconds since a moment that another machine may have taken, by a clock a little ahead."""
    return without if moment is None else max(0.0, (datetime.now(UTC) - moment).total_seconds())
