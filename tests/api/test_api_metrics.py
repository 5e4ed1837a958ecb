"""Metrics that Prometheus can read, whose labels are few: route patterns, never a number or whatever a caller sends."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from ledger import Gauges, open_engine
from ledger.transactions import shielded_transaction
from settlement.reconciliation import FindingKind
from settlement.states import State
from tests.api.doors import Door, accept, open_door
from tests.api.snapshots import stands
from tests.support.ledgers import FlakyLedger, hang
from tests.support.orders import order, settlement
from tests.support.scripted import APPLIED, ScriptedExternalSystem
from tests.support.stopwatch import timed

NONE = "none"
"""The route of what no route took."""


async def families(door: Door) -> dict[str, Metric]:
    """Read the metrics as Prometheus does."""
    answer = await door.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


async def value(door: Door, name: str, **labels: str) -> float:
    """Return the sum of a counter's or histogram's samples that have these labels."""
    found = (await families(door)).values()
    return sum(
        sample.value
        for family in found
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def label_values(found: Iterable[Metric], label: str) -> set[str]:
    """Return every value that a label has."""
    samples = [sample for family in found for sample in family.samples if sample.name.startswith("settlement_")]
    return {sample.labels[label] for sample in samples if label in sample.labels}


async def visit_everything(door: Door) -> str:
    """Send requests that hit and miss every route; return the number in their paths."""
    body = order()
    number = body["requestUniqueNo"]
    await door.post(body)
    for method in ("GET", "POST", "DELETE"):
        for path in ("", f"/{number}", f"/{number}/resolution", f"/{number}/cancel-adjust-retries", f"/x/{number}"):
            if (method, path[:1]) != ("POST", "/"):
                await door.http.request(method, f"/v1/settlements{path}")
    for kind in ("resolution", "cancel-adjust-retries"):
        await door.act("N-unknown", kind, {})
    for path in (f"/{number}", "/healthz", "/readyz"):
        await door.http.get(path)
    return str(number)


async def test_names_and_types_are_as_alert_rules_know_them(closed_door: Door) -> None:
    found = await families(closed_door)
    ours = {name: family for name, family in found.items() if name.startswith("settlement_")}
    types = {name: family.type for name, family in ours.items() if not name.endswith("_created")}
    assert types == {
        "settlement_http_requests": "counter",
        "settlement_http_request_duration_seconds": "histogram",
        "settlement_http_connections": "gauge",
        "settlement_http_connections_closed": "counter",
        "settlement_accepted": "counter",
        "settlement_decisions": "counter",
        "settlement_decision_latency_seconds": "histogram",
        "settlement_open": "gauge",
        "settlement_in_doubt": "gauge",
        "settlement_in_doubt_amount": "gauge",
        "settlement_oldest_cancelling_age_seconds": "gauge",
        "settlement_findings": "counter",
        "settlement_findings_open": "gauge",
        "settlement_reconciliation_age_seconds": "gauge",
        "settlement_ledger_up": "gauge",
        "settlement_ledger_gauges_up": "gauge",
    }
    assert all(family.documentation for family in ours.values())


async def test_routes_are_patterns_and_no_label_holds_a_number(closed_door: Door) -> None:
    number = await visit_everything(closed_door)
    found = await families(closed_door)
    pages = {"/docs", "/docs/oauth2-redirect", "/openapi.json", "/metrics"}
    patterns = {*closed_door.app.openapi()["paths"], *pages, NONE}
    assert label_values(found.values(), "route") <= patterns
    assert "/v1/settlements/{requestUniqueNo}" in label_values(found.values(), "route")
    assert number not in (await closed_door.http.get("/metrics")).text


async def test_methods_made_up_by_a_caller_are_no_labels(closed_door: Door) -> None:
    """Each would stay in memory for ever: HTTP lets a method be any word."""
    for method in ("BREW", "N-4711", "X" * 500):
        await closed_door.http.request(method, "/v1/settlements")
    known = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"}
    made_up = label_values((await families(closed_door)).values(), "method") - known
    assert len(made_up) <= 1, "all of them under one name"


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
async def test_every_answer_is_counted_under_its_route_and_status(
    closed_door: Door, method: str, path: str, route: str, status: str
) -> None:
    async def count() -> float:
        return await value(closed_door, "settlement_http_requests_total", route=route, method=method, status=status)

    async def timings() -> float:
        return await value(closed_door, "settlement_http_request_duration_seconds_count", route=route, method=method)

    before = await count(), await timings()
    await closed_door.http.request(method, path)
    assert (await count() - before[0], await timings() - before[1]) == (1, 1)


async def test_too_large_a_body_is_counted(closed_door: Door) -> None:
    before = await value(closed_door, "settlement_http_requests_total", status="413")
    await closed_door.post_raw(b" " * 20_000)
    assert await value(closed_door, "settlement_http_requests_total", status="413") == before + 1


async def test_settlement_and_decision_are_counted_once_however_often_they_are_asked_for(door: Door) -> None:
    names = {"settlement_accepted_total": {}, "settlement_decisions_total": {"decision": "PROCEED"}}
    names |= {"settlement_decision_latency_seconds_count": {}}
    before = {name: await value(door, name, **labels) for name, labels in names.items()}
    body = order()
    async with door.workers(ScriptedExternalSystem(adjust=APPLIED)):
        for _ in range(3):
            await door.post(body, prefer="wait=20")
    await door.post(body | {"orderId": 1})
    after = {name: await value(door, name, **labels) for name, labels in names.items()}
    assert after == {name: count + 1 for name, count in before.items()}


async def test_repeat_from_the_ledger_counts_no_decision(closed_door: Door) -> None:
    accepted = settlement()
    await accept(closed_door.ledger, accepted, stands(accepted, State.SETTLED))
    before = await value(closed_door, "settlement_decisions_total")
    await closed_door.post(accepted.adjust.wire(), companyId="7", prefer="wait=1")
    assert await value(closed_door, "settlement_decisions_total") == before


async def test_open_settlements_are_counted_by_state(door: Door) -> None:
    """An ABORTED one waits for a person: an alert rule must be able to see it."""
    for state in (State.ABORTED, State.ABORTED, State.CANCELLING, State.SETTLED):
        old = settlement()
        await accept(door.ledger, old, stands(old, state))
    states = [State.ABORTED, State.CANCELLING, State.ADJUSTING]
    assert [await value(door, "settlement_open", state=state) for state in states] == [2, 1, 0]


class SilentCount(FlakyLedger):
    """Has an open connection to a database that does not answer any more."""

    @shielded_transaction
    async def gauges(self) -> Gauges:
        """Hang, for as long as the real one would."""
        return await hang()


FROM_THE_LEDGER = [
    "settlement_open",
    "settlement_in_doubt",
    "settlement_in_doubt_amount",
    "settlement_oldest_cancelling_age_seconds",
    "settlement_findings_open",
    "settlement_reconciliation_age_seconds",
]


async def test_an_empty_ledger_has_no_doubts_and_no_reconciliation_yet(closed_door: Door) -> None:
    found = await families(closed_door)
    assert {
        sample.value for name in ("settlement_open", "settlement_findings_open") for sample in found[name].samples
    } == {0}
    assert label_values([found["settlement_findings_open"]], "kind") == set(FindingKind)
    assert await value(closed_door, "settlement_oldest_cancelling_age_seconds") == 0
    assert await value(closed_door, "settlement_in_doubt") == 0
    assert found["settlement_in_doubt_amount"].samples == []
    assert await value(closed_door, "settlement_reconciliation_age_seconds") == math.inf
    assert await value(closed_door, "settlement_ledger_up") == 1
    assert await value(closed_door, "settlement_ledger_gauges_up") == 1


async def test_money_in_doubt_and_its_age_are_seen(closed_door: Door) -> None:
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    for amount, state in (("12.50", State.ABORTED), ("0.25", State.CANCELLING), ("7.00", State.SETTLED)):
        old = settlement(amount=amount, accepted_at=hour_ago)
        await accept(closed_door.ledger, old, stands(old, state))
    assert await value(closed_door, "settlement_in_doubt_amount", currency="USD") == 12.75
    assert await value(closed_door, "settlement_in_doubt") == 2
    assert await value(closed_door, "settlement_oldest_cancelling_age_seconds") >= 3600


async def test_what_the_ledger_says_is_left_out_while_it_is_away(tmp_path: Path, dead_temporal: Client) -> None:
    """The last known count would look like a fact."""
    engine = open_engine(f"sqlite:///{tmp_path}/gone/ledger.db")
    async with open_door(FlakyLedger(engine), dead_temporal) as door:
        found = await families(door)
        assert await value(door, "settlement_ledger_up") == 0
        assert await value(door, "settlement_ledger_gauges_up") == 0
    await engine.dispose()
    assert [found[name].samples for name in FROM_THE_LEDGER] == [[]] * len(FROM_THE_LEDGER)
    assert found["settlement_accepted"].samples


async def test_silent_ledger_does_not_hold_up_the_metrics(
    engine: AsyncEngine, dead_temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scrape is given up after ten seconds at most; the metrics are wanted most when something is wrong."""
    silent = SilentCount(engine)
    monkeypatch.setattr(silent, "check", silent.gauges)
    async with open_door(silent, dead_temporal) as door:
        found, took_s = await timed(families(door))
    assert took_s < 5
    assert found["settlement_open"].samples == []
    assert [sample.value for sample in found["settlement_ledger_up"].samples] == [0]
    assert [sample.value for sample in found["settlement_ledger_gauges_up"].samples] == [0]


async def test_gauges_that_are_late_are_no_ledger_that_is_down(engine: AsyncEngine, dead_temporal: Client) -> None:
    """Orders are accepted all the same: nobody needs to bring the database back."""
    async with open_door(SilentCount(engine), dead_temporal) as door:
        found, took_s = await timed(families(door))
    assert took_s < 5
    assert found["settlement_open"].samples == []
    assert [sample.value for sample in found["settlement_ledger_up"].samples] == [1]
    assert [sample.value for sample in found["settlement_ledger_gauges_up"].samples] == [0]
