"""Metrics in Prometheus' format, with few label values: route patterns, never numbers or text from callers."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from api.app import CODEC_ROUTERS
from ledger import Gauges, open_engine
from ledger.transactions import shielded_transaction
from settlement.reconciliation import FindingKind
from settlement.states import State
from tests.api.api_harness import ApiHarness, accept, open_api
from tests.api.snapshots import snapshot_in
from tests.support.ledgers import FlakyLedger, hang
from tests.support.orders import order, settlement
from tests.support.scripted import APPLIED, ScriptedExternalSystem
from tests.support.stopwatch import timed

NONE = "none"
"""The route label of a request that matches no route."""


async def families(api: ApiHarness) -> dict[str, Metric]:
    """Read the metrics as Prometheus does."""
    answer = await api.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


async def value(api: ApiHarness, name: str, **labels: str) -> float:
    """Return the sum of a counter's or histogram's samples that have these labels."""
    found = (await families(api)).values()
    return sum(
        sample.value
        for family in found
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def label_values(found: Iterable[Metric], label: str) -> set[str]:
    """Return all values of a label."""
    samples = [sample for family in found for sample in family.samples if sample.name.startswith("settlement_")]
    return {sample.labels[label] for sample in samples if label in sample.labels}


async def visit_everything(api: ApiHarness) -> str:
    """Send requests that hit and miss every route; return the number in their paths."""
    body = order()
    number = body["requestUniqueNo"]
    await api.post(body)
    for method in ("GET", "POST", "DELETE"):
        for path in ("", f"/{number}", f"/{number}/resolution", f"/{number}/cancel-adjust-retries", f"/x/{number}"):
            if (method, path[:1]) != ("POST", "/"):
                await api.http.request(method, f"/v1/settlements{path}")
    for kind in ("resolution", "cancel-adjust-retries"):
        await api.act("N-unknown", kind, {})
    for path in (f"/{number}", "/healthz", "/readyz"):
        await api.http.get(path)
    return str(number)


async def test_names_and_types_are_as_alert_rules_know_them(api_without_temporal: ApiHarness) -> None:
    found = await families(api_without_temporal)
    ours = {name: family for name, family in found.items() if name.startswith("settlement_")}
    types = {name: family.type for name, family in ours.items() if not name.endswith("_created")}
    assert types == {
        "settlement_http_requests": "counter",
        "settlement_http_request_duration_seconds": "histogram",
        "settlement_http_connections": "gauge",
        "settlement_http_connections_closed": "counter",
        "settlement_accepted": "counter",
        "settlement_amount_limited": "counter",
        "settlement_decisions": "counter",
        "settlement_decision_latency_seconds": "histogram",
        "settlement_open": "gauge",
        "settlement_in_doubt": "gauge",
        "settlement_in_doubt_amount": "gauge",
        "settlement_oldest_cancelling_age_seconds": "gauge",
        "settlement_findings": "counter",
        "settlement_findings_open": "gauge",
        "settlement_reconciliation_age_seconds": "gauge",
        "settlement_external_systems_current": "gauge",
        "settlement_order_limits_current": "gauge",
        "settlement_payload_keys_current": "gauge",
        "settlement_ledger_up": "gauge",
        "settlement_ledger_gauges_up": "gauge",
    }
    assert all(family.documentation for family in ours.values())


async def test_the_route_label_is_a_pattern_without_numbers(api_without_temporal: ApiHarness) -> None:
    number = await visit_everything(api_without_temporal)
    found = await families(api_without_temporal)
    pages = {"/docs", "/docs/oauth2-redirect", "/openapi.json", "/metrics"}
    # The registry is that of the process, and other tests run an API with a codec server in it.
    codec = {route.path for router in CODEC_ROUTERS for route in router.routes if isinstance(route, APIRoute)}
    patterns = {*api_without_temporal.app.openapi()["paths"], *codec, *pages, NONE}
    assert label_values(found.values(), "route") <= patterns
    assert "/v1/settlements/{requestUniqueNo}" in label_values(found.values(), "route")
    assert number not in (await api_without_temporal.http.get("/metrics")).text


async def test_unknown_methods_share_one_label_value(api_without_temporal: ApiHarness) -> None:
    """HTTP allows any word as a method, and each label value would stay in memory."""
    for method in ("BREW", "N-4711", "X" * 500):
        await api_without_temporal.http.request(method, "/v1/settlements")
    known = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"}
    made_up = label_values((await families(api_without_temporal)).values(), "method") - known
    assert len(made_up) <= 1, "they share one label value"


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/v1/settlements/N-unknown", "/v1/settlements/{requestUniqueNo}", "404"),
        ("POST", "/v1/settlements", "/v1/settlements", "415"),
        ("GET", "/v1/settlements?limit=0", "/v1/settlements", "422"),
        ("GET", "/nowhere", NONE, "404"),
        ("GET", "/readyz", "/readyz", "503"),
    ],
)
async def test_every_response_is_counted_under_its_route_and_status(
    api_without_temporal: ApiHarness, method: str, path: str, route: str, status: str
) -> None:
    async def count() -> float:
        return await value(
            api_without_temporal, "settlement_http_requests_total", route=route, method=method, status=status
        )

    async def timings() -> float:
        return await value(
            api_without_temporal, "settlement_http_request_duration_seconds_count", route=route, method=method
        )

    before = await count(), await timings()
    await api_without_temporal.http.request(method, path)
    assert (await count() - before[0], await timings() - before[1]) == (1, 1)


async def test_a_too_large_body_is_counted(api_without_temporal: ApiHarness) -> None:
    before = await value(api_without_temporal, "settlement_http_requests_total", status="413")
    await api_without_temporal.post_raw(b" " * 20_000)
    assert await value(api_without_temporal, "settlement_http_requests_total", status="413") == before + 1


async def test_settlement_and_decision_are_counted_once_per_order(api: ApiHarness) -> None:
    names = {"settlement_accepted_total": {}, "settlement_decisions_total": {"decision": "PROCEED"}}
    names |= {"settlement_decision_latency_seconds_count": {}}
    before = {name: await value(api, name, **labels) for name, labels in names.items()}
    body = order()
    async with api.workers(ScriptedExternalSystem(adjust=APPLIED)):
        for _ in range(3):
            await api.post(body, prefer="wait=20")
    await api.post(body | {"orderId": 1})
    after = {name: await value(api, name, **labels) for name, labels in names.items()}
    assert after == {name: count + 1 for name, count in before.items()}


async def test_repeat_from_the_ledger_counts_no_decision(api_without_temporal: ApiHarness) -> None:
    accepted = settlement()
    await accept(api_without_temporal.ledger, accepted, snapshot_in(accepted, State.SETTLED))
    before = await value(api_without_temporal, "settlement_decisions_total")
    await api_without_temporal.post(accepted.adjust.wire(), companyId="7", prefer="wait=1")
    assert await value(api_without_temporal, "settlement_decisions_total") == before


async def test_open_settlements_are_counted_by_state(api: ApiHarness) -> None:
    """An ABORTED settlement waits for an operator, so an alert must see it."""
    for state in (State.ABORTED, State.ABORTED, State.CANCELLING, State.SETTLED):
        old = settlement()
        await accept(api.ledger, old, snapshot_in(old, state))
    states = [State.ABORTED, State.CANCELLING, State.ADJUSTING]
    assert [await value(api, "settlement_open", state=state) for state in states] == [2, 1, 0]


class SilentCount(FlakyLedger):
    """Has an open connection to a database that no longer responds."""

    @shielded_transaction
    async def gauges(self) -> Gauges:
        """Hang as long as the real ledger would."""
        return await hang()


FROM_THE_LEDGER = [
    "settlement_open",
    "settlement_in_doubt",
    "settlement_in_doubt_amount",
    "settlement_oldest_cancelling_age_seconds",
    "settlement_findings_open",
    "settlement_reconciliation_age_seconds",
]


async def test_an_empty_ledger_has_no_money_in_doubt_and_no_round_yet(api_without_temporal: ApiHarness) -> None:
    found = await families(api_without_temporal)
    assert {
        sample.value for name in ("settlement_open", "settlement_findings_open") for sample in found[name].samples
    } == {0}
    assert label_values([found["settlement_findings_open"]], "kind") == set(FindingKind)
    assert await value(api_without_temporal, "settlement_oldest_cancelling_age_seconds") == 0
    assert await value(api_without_temporal, "settlement_in_doubt") == 0
    assert found["settlement_in_doubt_amount"].samples == []
    assert await value(api_without_temporal, "settlement_reconciliation_age_seconds") == math.inf
    assert await value(api_without_temporal, "settlement_ledger_up") == 1
    assert await value(api_without_temporal, "settlement_ledger_gauges_up") == 1


async def test_money_in_doubt_and_its_age_are_exposed(api_without_temporal: ApiHarness) -> None:
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    for amount, state in (("12.50", State.ABORTED), ("0.25", State.CANCELLING), ("7.00", State.SETTLED)):
        old = settlement(amount=amount, accepted_at=hour_ago)
        await accept(api_without_temporal.ledger, old, snapshot_in(old, state))
    assert await value(api_without_temporal, "settlement_in_doubt_amount", currency="USD") == 12.75
    assert await value(api_without_temporal, "settlement_in_doubt") == 2
    assert await value(api_without_temporal, "settlement_oldest_cancelling_age_seconds") >= 3600


async def test_gauges_of_an_unreachable_ledger_have_no_samples(tmp_path: Path, dead_temporal: Client) -> None:
    """An old value would look current."""
    engine = open_engine(f"sqlite:///{tmp_path}/gone/ledger.db")
    async with open_api(FlakyLedger(engine), dead_temporal) as api:
        found = await families(api)
        assert await value(api, "settlement_ledger_up") == 0
        assert await value(api, "settlement_ledger_gauges_up") == 0
    await engine.dispose()
    assert [found[name].samples for name in FROM_THE_LEDGER] == [[]] * len(FROM_THE_LEDGER)
    assert found["settlement_accepted"].samples


async def test_an_unresponsive_ledger_does_not_delay_the_metrics(
    engine: AsyncEngine, dead_temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prometheus gives up a scrape after ten seconds, and the metrics are needed during an outage."""
    silent = SilentCount(engine)
    monkeypatch.setattr(silent, "check", silent.gauges)
    async with open_api(silent, dead_temporal) as api:
        found, took_s = await timed(families(api))
    assert took_s < 5
    assert found["settlement_open"].samples == []
    assert [sample.value for sample in found["settlement_ledger_up"].samples] == [0]
    assert [sample.value for sample in found["settlement_ledger_gauges_up"].samples] == [0]


async def test_late_gauges_do_not_mean_that_the_ledger_is_down(engine: AsyncEngine, dead_temporal: Client) -> None:
    """Orders are still accepted, so the database counts as up."""
    async with open_api(SilentCount(engine), dead_temporal) as api:
        found, took_s = await timed(families(api))
    assert took_s < 5
    assert found["settlement_open"].samples == []
    assert [sample.value for sample in found["settlement_ledger_up"].samples] == [1]
    assert [sample.value for sample in found["settlement_ledger_gauges_up"].samples] == [0]
