"""Findings and rounds: at most one open finding of a kind and settlement, counted by round and closed once."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Findings, Ledger
from ledger.reconciliation.findings import FINDING_PAGE_MAX, ROUNDS_KEPT
from settlement.reconciliation import FindingKind, FindingStatus, ReconciliationRound
from tests.ledger.conftest import OpenEngine
from tests.ledger.samples import EAST, NOON
from tests.support.orders import id_of

MISSING, STUCK = FindingKind.WORKFLOW_MISSING, FindingKind.WORKFLOW_STUCK
MINUTE = timedelta(minutes=1)
OPEN, REPAIRED, CLEARED = FindingStatus.OPEN, FindingStatus.REPAIRED, FindingStatus.CLEARED


@pytest.fixture
def findings(engine: AsyncEngine) -> Findings:
    return Findings(engine)


async def report(
    findings: Findings, number: str = "N-1", kind: FindingKind = MISSING, in_round: int = 0, detail: str = "it is gone"
) -> int:
    """Report a mismatch in a round; rounds are one minute apart."""
    finding = await findings.report(kind, id_of(number), detail, round_started_at=NOON + in_round * MINUTE)
    assert finding is not None
    return finding


async def all_findings(
    findings: Findings, status: FindingStatus | None = None
) -> list[tuple[str | None, FindingStatus, int]]:
    """Return number, status and rounds of all findings, newest first."""
    page = await findings.page(status=status, before=None, limit=100)
    return [(each.request_unique_no, each.status, each.rounds) for each in page.items]


async def test_a_new_finding_is_open_with_its_detail(findings: Findings) -> None:
    finding_id = await findings.report(STUCK, id_of("N" * 48), "Ünï ☂ 'quoted'", round_started_at=NOON.astimezone(EAST))
    (found,) = (await findings.page(status=None, before=None, limit=10)).items
    assert (found.finding_id, found.kind, found.request_unique_no) == (finding_id, STUCK, "N" * 48)
    assert (found.status, found.detail, found.repair, found.rounds) == (OPEN, "Ünï ☂ 'quoted'", "", 1)
    assert (found.found_at, found.last_seen_at, found.closed_at) == (NOON, NOON, None)


async def test_a_finding_seen_in_a_later_round_counts_one_more_round(findings: Findings) -> None:
    first = await report(findings)
    again = await report(findings, in_round=1, detail="still gone")
    (found,) = (await findings.page(status=None, before=None, limit=10)).items
    assert first == again == found.finding_id
    assert (found.rounds, found.detail) == (2, "still gone")
    assert found.last_seen_at - found.found_at == MINUTE


async def test_a_finding_seen_twice_in_one_round_counts_once(findings: Findings) -> None:
    """An activity whose result was lost is repeated."""
    for _ in range(3):
        await report(findings, in_round=4)
    assert await all_findings(findings) == [("N-1", OPEN, 1)]


async def test_each_kind_and_settlement_has_its_own_finding(findings: Findings) -> None:
    ids = {await report(findings, number, kind) for number in ("N-1", "N-2") for kind in (MISSING, STUCK)}
    assert len(ids) == await findings.count_open() == 4


async def test_concurrent_reports_of_one_mismatch_make_one_finding(database_url: str, open_one: OpenEngine) -> None:
    records = [Findings(open_one(database_url)) for _ in range(4)]
    ids = await asyncio.gather(*(report(records[each % 4]) for each in range(20)))
    assert len(set(ids)) == await records[0].count_open() == 1


@pytest.mark.parametrize("status", [REPAIRED, CLEARED])
async def test_a_finding_is_closed_only_once(findings: Findings, status: FindingStatus) -> None:
    finding_id = await report(findings)
    assert await findings.close(finding_id, status, "taken up again", NOON + MINUTE)
    assert not await findings.close(finding_id, CLEARED, "another", NOON + 2 * MINUTE)
    await findings.update_detail(finding_id, "another reason")
    (found,) = (await findings.page(status=None, before=None, limit=10)).items
    assert (found.status, found.repair, found.closed_at) == (status, "taken up again", NOON + MINUTE)
    assert found.detail == "it is gone"
    assert await findings.count_open() == 0


async def test_a_mismatch_after_its_finding_was_closed_is_a_new_finding(findings: Findings) -> None:
    await findings.close(await report(findings), REPAIRED, "taken up again", NOON + MINUTE)
    await report(findings, in_round=2)
    assert await all_findings(findings) == [("N-1", OPEN, 1), ("N-1", REPAIRED, 1)]


CONFLICT, CLOSED = FindingKind.DECISION_CONFLICT, FindingStatus.CLOSED
BY_HAND = "closed by ops-1: put right by hand"


async def test_what_an_operator_has_closed_stays_closed_while_the_same_is_found(
    findings: Findings, ledger: Ledger
) -> None:
    await findings.close(await report(findings, kind=CONFLICT), CLOSED, BY_HAND, NOON + MINUTE)
    for in_round in (1, 2):
        at = NOON + in_round * MINUTE
        assert await findings.report(CONFLICT, id_of("N-1"), "it is gone", round_started_at=at) is None
    assert await all_findings(findings) == [("N-1", CLOSED, 1)]
    assert (await ledger.gauges()).findings == {CONFLICT: 1}
    await report(findings, "N-2", CONFLICT)
    assert await findings.count_open() == 1


async def test_what_is_new_since_an_operator_closed_it_is_a_new_finding(findings: Findings) -> None:
    """The last closing counts: what was closed before it, and came again, is new."""
    for detail in ("SETTLED against CANCELLING", "SETTLED against CANCELLED", "SETTLED against CANCELLING"):
        await findings.close(await report(findings, kind=CONFLICT, detail=detail), CLOSED, BY_HAND, NOON + MINUTE)
    assert await all_findings(findings) == [("N-1", CLOSED, 1)] * 3


async def test_a_closing_beside_those_who_see_the_same_is_not_undone(database_url: str, open_one: OpenEngine) -> None:
    records = [Findings(open_one(database_url)) for _ in range(4)]
    for number in (f"N-{each}" for each in range(10)):
        finding = await report(records[0], number, CONFLICT)

        async def see_again(record: Findings, number: str = number) -> None:
            await record.report(CONFLICT, id_of(number), "it is gone", round_started_at=NOON + MINUTE)

        closing = records[0].close(finding, CLOSED, BY_HAND, NOON)
        await asyncio.gather(*(see_again(each) for each in records[1:]), closing, *map(see_again, records[1:]))
    assert await records[0].count_open() == 0


async def test_the_detail_of_an_open_finding_can_be_replaced(findings: Findings) -> None:
    finding_id = await report(findings)
    await findings.update_detail(finding_id, "it is gone; nobody can tell why")
    (found,) = (await findings.page(status=OPEN, before=None, limit=10)).items
    assert found.detail == "it is gone; nobody can tell why"


async def test_open_findings_not_seen_in_a_round_are_read_in_pages(findings: Findings) -> None:
    ids = [await report(findings, f"N-{each}") for each in range(5)]
    await findings.close(ids[1], CLEARED, "", NOON)
    await report(findings, "N-3", in_round=1)
    since = NOON + MINUTE
    assert [each.finding_id for each in await findings.open_not_seen_since(since, 10)] == [ids[0], ids[2], ids[4]]
    first = await findings.open_not_seen_since(since, 2)
    rest = await findings.open_not_seen_since(since, 2, after=first[-1].finding_id)
    assert [each.finding_id for each in (*first, *rest)] == [ids[0], ids[2], ids[4]]


async def test_pages_of_any_size_contain_everything_once_newest_first(findings: Findings) -> None:
    ids = [await report(findings, f"N-{each}") for each in range(7)]
    for limit in (1, 2, 3, 7, 8):
        found: list[int] = []
        before: int | None = None
        while True:
            page = await findings.page(status=None, before=before, limit=limit)
            found += [each.finding_id for each in page.items]
            before = page.next_before
            if before is None:
                break
        assert found == ids[::-1]


async def test_a_page_never_exceeds_the_maximum(findings: Findings) -> None:
    for each in range(FINDING_PAGE_MAX + 1):
        await report(findings, f"N-{each}")
    page = await findings.page(status=None, before=None, limit=10 * FINDING_PAGE_MAX)
    assert (len(page.items), page.next_before) == (FINDING_PAGE_MAX, page.items[-1].finding_id)


@pytest.mark.parametrize("status", FindingStatus)
async def test_a_status_filter_lists_exactly_its_findings(findings: Findings, status: FindingStatus) -> None:
    for each in FindingStatus:
        finding_id = await report(findings, f"N-{each}")
        if each is not OPEN:
            await findings.close(finding_id, each, "", NOON)
    assert await all_findings(findings, status) == [(f"N-{status}", status, 1)]


def a_round(round_id: str, ended_at: datetime, **fields: int) -> ReconciliationRound:
    counts = {"ledger_checked": 1, "temporal_checked": 2, "found": 3, "repaired": 4, "open_findings": 0} | fields
    return ReconciliationRound(
        round_id=round_id, started_at=ended_at - MINUTE, ended_at=ended_at, complete=True, **counts
    )


async def test_the_last_round_is_the_one_that_ended_last_with_the_current_open_findings(findings: Findings) -> None:
    assert await findings.last_round() is None
    newer, older = a_round("b", NOON + MINUTE), a_round("a", NOON)
    for each in (newer, older):
        await findings.record_round(each)
    await report(findings)
    assert await findings.last_round() == newer.model_copy(update={"open_findings": 1})


async def test_recording_a_round_again_changes_nothing(findings: Findings) -> None:
    first = a_round("a", NOON)
    await findings.record_round(first)
    await findings.record_round(a_round("a", NOON + MINUTE, found=99))
    assert await findings.last_round() == first


async def test_the_time_up_to_which_temporals_list_was_scanned_is_kept(findings: Findings) -> None:
    """A round with an incomplete scan does not change it."""
    assert await findings.listed_to() is None
    await findings.record_round(a_round("a", NOON))
    assert await findings.listed_to() is None
    await findings.record_round(a_round("b", NOON + MINUTE), NOON.astimezone(EAST))
    await findings.record_round(a_round("c", NOON + 2 * MINUTE))
    assert await findings.listed_to() == NOON
    await findings.record_round(a_round("d", NOON + 3 * MINUTE), NOON + MINUTE)
    assert await findings.listed_to() == NOON + MINUTE


async def test_old_rounds_are_deleted_and_findings_never(findings: Findings) -> None:
    await report(findings)
    await findings.record_round(a_round("old", NOON))
    await findings.record_round(a_round("new", NOON + ROUNDS_KEPT))
    assert (await findings.last_round() or a_round("none", NOON)).round_id == "new"
    # An older one cannot come back as the last: had it been kept, it would be in the way of its own number.
    await findings.record_round(a_round("newest", NOON + ROUNDS_KEPT + MINUTE))
    await findings.record_round(a_round("old", NOON + ROUNDS_KEPT + 2 * MINUTE))
    assert (await findings.last_round() or a_round("none", NOON)).round_id == "old"
    assert await findings.count_open() == 1
