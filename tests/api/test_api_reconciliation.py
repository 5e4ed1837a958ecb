"""Reconciliation at the API: the last round, findings, rounds on request, allowances."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from temporalio.client import Client

from ledger import Findings
from ledger.reconciliation.findings import FINDING_PAGE_MAX
from settlement.ids import RECONCILIATION_SCHEDULE
from settlement.reconciliation import CLOSED_BY_OPERATOR, FindingKind, FindingStatus, ReconciliationRound
from tests.api.api_harness import ApiHarness
from tests.support.orders import id_of, new_number
from tests.support.polling import until
from tests.support.rounds import Parts, looking_at
from workflows.reconciliation.schedule import ensure_schedule

RECONCILIATION = "/v1/reconciliation"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
ROUND = ReconciliationRound(
    round_id="round-1",
    started_at=NOON,
    ended_at=NOON + timedelta(seconds=2),
    ledger_checked=10,
    temporal_checked=20,
    found=3,
    repaired=2,
    open_findings=0,
    complete=True,
)


async def record_finding(api: ApiHarness, number: str, kind: FindingKind = FindingKind.WORKFLOW_STUCK) -> int:
    """Record a finding."""
    finding = await Findings(api.ledger.engine).report(kind, id_of(number), "it does not fit", round_started_at=NOON)
    assert finding is not None
    return finding


async def pages(api: ApiHarness, **query: Any) -> list[list[str]]:  # noqa: ANN401 - any query
    """Follow the pages to the end; return the numbers of each page."""
    found: list[list[str]] = []
    before: int | None = None
    while True:
        params = query | ({"before": before} if before else {})
        body = (await api.http.get(f"{RECONCILIATION}/findings", params=params)).json()
        found.append([each["requestUniqueNo"] for each in body["items"]])
        before = body["nextBefore"]
        if before is None:
            return found


async def test_before_the_first_round_there_is_no_last_round(api_without_temporal: ApiHarness) -> None:
    answer = await api_without_temporal.http.get(RECONCILIATION)
    assert answer.json() == {"lastRound": None, "openFindings": 0, "schedule": "every 60 s"}


async def test_the_last_round_and_open_findings_are_reported_without_temporal(
    api_without_temporal: ApiHarness,
) -> None:
    await Findings(api_without_temporal.ledger.engine).record_round(ROUND)
    await record_finding(api_without_temporal, "N-1")
    answer = await api_without_temporal.http.get(RECONCILIATION)
    assert answer.json() == {
        "lastRound": ROUND.model_copy(update={"open_findings": 1}).model_dump(mode="json"),
        "openFindings": 1,
        "schedule": "every 60 s",
    }


async def test_findings_are_listed_with_all_fields(api_without_temporal: ApiHarness) -> None:
    finding_id = await record_finding(api_without_temporal, "N-1")
    record = Findings(api_without_temporal.ledger.engine)
    await record.close(finding_id, FindingStatus.REPAIRED, "taken up again", NOON)
    (item,) = (await api_without_temporal.http.get(f"{RECONCILIATION}/findings")).json()["items"]
    assert item == {
        "findingId": finding_id,
        "kind": "WORKFLOW_STUCK",
        "system": "default",
        "requestUniqueNo": "N-1",
        "companyId": None,
        "amount": None,
        "currency": None,
        "status": "REPAIRED",
        "detail": "it does not fit",
        "repair": "taken up again",
        "foundAt": "2026-01-05T12:00:00Z",
        "lastSeenAt": "2026-01-05T12:00:00Z",
        "rounds": 1,
        "action": "roll the workers back to the previous release",
        "closedAt": "2026-01-05T12:00:00Z",
    }


@pytest.mark.parametrize("limit", [1, 2, 5, 6])
async def test_pages_contain_all_findings_newest_first(api_without_temporal: ApiHarness, limit: int) -> None:
    for each in range(5):
        await record_finding(api_without_temporal, f"N-{each}")
    found = await pages(api_without_temporal, limit=limit)
    assert [number for page in found for number in page] == [f"N-{each}" for each in reversed(range(5))]
    assert all(len(page) <= limit for page in found)


@pytest.mark.parametrize("status", FindingStatus)
async def test_a_status_shows_its_findings_and_no_others(
    api_without_temporal: ApiHarness, status: FindingStatus
) -> None:
    record = Findings(api_without_temporal.ledger.engine)
    for each in FindingStatus:
        finding_id = await record_finding(api_without_temporal, f"N-{each}")
        if each is not FindingStatus.OPEN:
            await record.close(finding_id, each, "", NOON)
    assert await pages(api_without_temporal, status=status.value) == [[f"N-{status}"]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=DONE", "status"),
        ("status=open", "status"),
        ("before=0", "before"),
        ("before=1_0", "before"),
        ("limit=1.0", "limit"),
        ("before=x", "before"),
        (f"before={2**31}", "before"),
        ("limit=0", "limit"),
        (f"limit={FINDING_PAGE_MAX + 1}", "limit"),
        ("kind=WORKFLOW_STUCK", "kind"),
    ],
)
async def test_an_invalid_query_is_named(api_without_temporal: ApiHarness, query: str, field: str) -> None:
    answer = await api_without_temporal.http.get(f"{RECONCILIATION}/findings?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    assert [each["field"] for each in answer.json()["errors"]] == [field]


async def request_round(api: ApiHarness) -> httpx2.Response:
    return await api.http.post(f"{RECONCILIATION}/rounds")


async def next_second() -> None:
    """Wait for the next second: Temporal counts requests within one second as one, because their rounds share an id."""
    asked_at = datetime.now(UTC).replace(microsecond=0)

    async def is_over() -> bool:
        return datetime.now(UTC).replace(microsecond=0) > asked_at

    await until(is_over)


async def test_without_temporal_no_round_can_be_requested(api_without_temporal: ApiHarness) -> None:
    answer = await request_round(api_without_temporal)
    assert (answer.status_code, answer.json()["code"]) == (503, "temporal-unavailable")


async def test_without_a_schedule_the_error_says_so(api: ApiHarness) -> None:
    answer = await request_round(api)
    assert (answer.status_code, answer.json()["code"]) == (503, "workers-unavailable")
    assert "schedule" in answer.json()["detail"]


async def test_a_requested_round_runs_now_and_requests_meanwhile_add_one_more(
    api: ApiHarness, temporal: Client
) -> None:
    """A requested round must not be skipped because an earlier round is running."""
    await ensure_schedule(temporal, 3600)
    try:
        first = await request_round(api)
        await next_second()
        answers = [first, *[await request_round(api) for _ in range(4)]]
        assert {answer.status_code for answer in answers} == {202}
        assert answers[0].json()["lastRound"] is None
        parts = Parts()
        async with looking_at(temporal, parts):

            async def two() -> bool:
                return len(parts.ends) == 2

            await until(two, what="the round, and one more")
        schedule = (await temporal.get_schedule_handle(RECONCILIATION_SCHEDULE).describe()).info
        assert schedule.num_actions == 2
    finally:
        await temporal.get_schedule_handle(RECONCILIATION_SCHEDULE).delete()


async def test_an_operator_allows_take_ups_with_a_reason_for_one_hour(api_without_temporal: ApiHarness) -> None:
    """It does not need Temporal: the allowance is stored in the ledger."""
    order = {"count": 200, "note": "Temporal's disk was lost"}
    answer = await api_without_temporal.http.post(f"{RECONCILIATION}/take-up-allowances", json=order)
    allowance = answer.json()
    assert answer.status_code == 201
    assert (allowance["count"], allowance["used"], allowance["operator"]) == (200, 0, "local")
    lasts = datetime.fromisoformat(allowance["expiresAt"]) - datetime.fromisoformat(allowance["allowedAt"])
    assert lasts == timedelta(hours=1)


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({"count": 0}, "count"),
        ({"count": 100_001}, "count"),
        ({"count": "5"}, "count"),
        ({"note": ""}, "note"),
        ({"note": None}, "note"),
        ({"all": True}, "all"),
    ],
)
async def test_a_broken_rule_of_an_allowance_is_reported_at_its_field(
    api_without_temporal: ApiHarness, order: dict[str, Any], field: str
) -> None:
    body = {"count": 5, "note": "why"} | order
    answer = await api_without_temporal.http.post(f"{RECONCILIATION}/take-up-allowances", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    assert [each["field"] for each in answer.json()["errors"]] == [field]


async def a_finding(api: ApiHarness, kind: FindingKind) -> int:
    record, now = Findings(api.ledger.engine), datetime.now(UTC)
    finding = await record.report(kind, id_of(new_number()), "they differ", round_started_at=now)
    assert finding is not None
    return finding


async def test_an_operator_closes_a_decision_conflict_with_a_reason_and_repeating_it_changes_nothing(
    api_without_temporal: ApiHarness,
) -> None:
    closing = (
        f"{RECONCILIATION}/findings/{await a_finding(api_without_temporal, FindingKind.DECISION_CONFLICT)}/closing"
    )
    first = await api_without_temporal.http.post(
        closing, json={"note": "the broker reversed it", "brokerReference": "T-17"}
    )
    assert (first.status_code, first.json()["status"]) == (200, "CLOSED")
    assert first.json()["repair"] == "closed by local: the broker reversed it (T-17)"
    again = await api_without_temporal.http.post(closing, json={"note": "another reason"})
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert again.json() == first.json()


@pytest.mark.parametrize("kind", sorted(set(FindingKind) - CLOSED_BY_OPERATOR))
async def test_a_finding_that_a_round_clears_cannot_be_closed_by_an_operator(
    api_without_temporal: ApiHarness, kind: FindingKind
) -> None:
    finding = await a_finding(api_without_temporal, kind)
    answer = await api_without_temporal.http.post(
        f"{RECONCILIATION}/findings/{finding}/closing", json={"note": "away with it"}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong-state")
    found = await Findings(api_without_temporal.ledger.engine).find(finding)
    assert found is not None
    assert found.status is FindingStatus.OPEN


async def test_closing_an_unknown_finding_or_without_a_reason_is_rejected(
    api_without_temporal: ApiHarness,
) -> None:
    closings = f"{RECONCILIATION}/findings"
    missing = await api_without_temporal.http.post(f"{closings}/4711/closing", json={"note": "why"})
    assert (missing.status_code, missing.json()["code"]) == (404, "not-found")
    for path, body, field in (("1", {}, "note"), ("1", {"note": ""}, "note"), ("x", {"note": "why"}, "findingId")):
        answer = await api_without_temporal.http.post(f"{closings}/{path}/closing", json=body)
        assert answer.status_code == 422
        assert [each["field"] for each in answer.json()["errors"]] == [field]
