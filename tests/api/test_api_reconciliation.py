"""Reconciliation at the front door: the last round, what is open, and a round that is asked for now."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from temporalio.client import Client

from ledger import Findings
from ledger.reconciliation.findings import FINDING_PAGE_MAX
from settlement.ids import RECONCILIATION_SCHEDULE
from settlement.reconciliation import CLOSED_BY_OPERATOR, FindingKind, FindingStatus, ReconciliationRound
from tests.api.doors import Door
from tests.support.orders import new_number
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


async def see(door: Door, number: str, kind: FindingKind = FindingKind.WORKFLOW_STUCK) -> int:
    """Have something found."""
    finding = await Findings(door.ledger.engine).report(kind, number, "it does not fit", round_started_at=NOON)
    assert finding is not None
    return finding


async def pages(door: Door, **query: Any) -> list[list[str]]:  # noqa: ANN401 - any query
    """Follow the pages to the end; return the numbers of each."""
    found: list[list[str]] = []
    before: int | None = None
    while True:
        params = query | ({"before": before} if before else {})
        body = (await door.http.get(f"{RECONCILIATION}/findings", params=params)).json()
        found.append([each["requestUniqueNo"] for each in body["items"]])
        before = body["nextBefore"]
        if before is None:
            return found


async def test_before_the_first_round_there_is_none(closed_door: Door) -> None:
    answer = await closed_door.http.get(RECONCILIATION)
    assert answer.json() == {"lastRound": None, "openFindings": 0, "schedule": "every 60 s"}


async def test_the_last_round_and_what_is_open_are_told_with_temporal_and_workers_away(closed_door: Door) -> None:
    await Findings(closed_door.ledger.engine).record_round(ROUND)
    await see(closed_door, "N-1")
    answer = await closed_door.http.get(RECONCILIATION)
    assert answer.json() == {
        "lastRound": ROUND.model_copy(update={"open_findings": 1}).model_dump(mode="json"),
        "openFindings": 1,
        "schedule": "every 60 s",
    }


async def test_findings_are_told_with_all_that_is_known(closed_door: Door) -> None:
    finding_id = await see(closed_door, "N-1")
    record = Findings(closed_door.ledger.engine)
    await record.close(finding_id, FindingStatus.REPAIRED, "taken up again", NOON)
    (item,) = (await closed_door.http.get(f"{RECONCILIATION}/findings")).json()["items"]
    assert item == {
        "findingId": finding_id,
        "kind": "WORKFLOW_STUCK",
        "requestUniqueNo": "N-1",
        "status": "REPAIRED",
        "detail": "it does not fit",
        "repair": "taken up again",
        "foundAt": "2026-01-05T12:00:00Z",
        "lastSeenAt": "2026-01-05T12:00:00Z",
        "rounds": 1,
        "closedAt": "2026-01-05T12:00:00Z",
    }


@pytest.mark.parametrize("limit", [1, 2, 5, 6])
async def test_pages_make_up_the_whole_newest_first(closed_door: Door, limit: int) -> None:
    for each in range(5):
        await see(closed_door, f"N-{each}")
    found = await pages(closed_door, limit=limit)
    assert [number for page in found for number in page] == [f"N-{each}" for each in reversed(range(5))]
    assert all(len(page) <= limit for page in found)


@pytest.mark.parametrize("status", FindingStatus)
async def test_a_status_shows_its_findings_and_no_others(closed_door: Door, status: FindingStatus) -> None:
    record = Findings(closed_door.ledger.engine)
    for each in FindingStatus:
        finding_id = await see(closed_door, f"N-{each}")
        if each is not FindingStatus.OPEN:
            await record.close(finding_id, each, "", NOON)
    assert await pages(closed_door, status=status.value) == [[f"N-{status}"]]


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
async def test_what_cannot_be_asked_for_is_named(closed_door: Door, query: str, field: str) -> None:
    answer = await closed_door.http.get(f"{RECONCILIATION}/findings?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    assert [each["field"] for each in answer.json()["errors"]] == [field]


async def ask(door: Door) -> httpx2.Response:
    return await door.http.post(f"{RECONCILIATION}/rounds")


async def test_without_temporal_no_round_can_be_asked_for(closed_door: Door) -> None:
    answer = await ask(closed_door)
    assert (answer.status_code, answer.json()["code"]) == (503, "temporal-unavailable")


async def test_before_any_worker_has_made_the_schedule_that_is_said(door: Door) -> None:
    answer = await ask(door)
    assert (answer.status_code, answer.json()["code"]) == (503, "workers-unavailable")
    assert "schedule" in answer.json()["detail"]


async def test_a_round_is_run_now_and_one_more_for_whoever_asks_meanwhile(door: Door, temporal: Client) -> None:
    """What a person asks for must not be skipped because a round is under way that began before."""
    await ensure_schedule(temporal, 3600)
    try:
        answers = [await ask(door) for _ in range(5)]
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


async def test_take_ups_are_allowed_by_a_person_with_a_reason_and_for_an_hour(closed_door: Door) -> None:
    """Temporal need not answer: the decision stands in the ledger."""
    order = {"count": 200, "note": "Temporal's disk was lost"}
    answer = await closed_door.http.post(f"{RECONCILIATION}/take-up-allowances", json=order)
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
async def test_a_broken_rule_of_an_allowance_is_named(closed_door: Door, order: dict[str, Any], field: str) -> None:
    body = {"count": 5, "note": "why"} | order
    answer = await closed_door.http.post(f"{RECONCILIATION}/take-up-allowances", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    assert [each["field"] for each in answer.json()["errors"]] == [field]


async def a_finding(door: Door, kind: FindingKind) -> int:
    record, now = Findings(door.ledger.engine), datetime.now(UTC)
    finding = await record.report(kind, new_number(), "they differ", round_started_at=now)
    assert finding is not None
    return finding


async def test_an_operator_closes_a_conflict_of_decisions_with_a_reason_and_repeating_it_changes_nothing(
    closed_door: Door,
) -> None:
    closing = f"{RECONCILIATION}/findings/{await a_finding(closed_door, FindingKind.DECISION_CONFLICT)}/closing"
    first = await closed_door.http.post(closing, json={"note": "the broker reversed it", "brokerReference": "T-17"})
    assert (first.status_code, first.json()["status"]) == (200, "CLOSED")
    assert first.json()["repair"] == "closed by local: the broker reversed it (T-17)"
    again = await closed_door.http.post(closing, json={"note": "another reason"})
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert again.json() == first.json()


@pytest.mark.parametrize("kind", sorted(set(FindingKind) - CLOSED_BY_OPERATOR))
async def test_a_finding_that_a_round_clears_is_not_closed_by_hand(closed_door: Door, kind: FindingKind) -> None:
    finding = await a_finding(closed_door, kind)
    answer = await closed_door.http.post(f"{RECONCILIATION}/findings/{finding}/closing", json={"note": "away with it"})
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong-state")
    found = await Findings(closed_door.ledger.engine).find(finding)
    assert found is not None
    assert found.status is FindingStatus.OPEN


async def test_a_finding_that_is_not_there_and_a_closing_without_a_reason_are_refused(closed_door: Door) -> None:
    closings = f"{RECONCILIATION}/findings"
    missing = await closed_door.http.post(f"{closings}/4711/closing", json={"note": "why"})
    assert (missing.status_code, missing.json()["code"]) == (404, "not-found")
    for path, body, field in (("1", {}, "note"), ("1", {"note": ""}, "note"), ("x", {"note": "why"}, "findingId")):
        answer = await closed_door.http.post(f"{closings}/{path}/closing", json=body)
        assert answer.status_code == 422
        assert [each["field"] for each in answer.json()["errors"]] == [field]
