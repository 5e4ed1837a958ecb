"""Broker statements in the ledger: exactly the planted differences become findings, each once, on both databases."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import BrokerStatements, Findings, StatementComparison, StatementRefusedError
from ledger.broker_statement import comparison, statements
from ledger.broker_statement_tables import broker_statement_differences, broker_statement_lines
from ledger.tables import settlements
from settlement.broker_statement import LineKind, StatementLine, StatementLines, StatementState
from settlement.operator_rules import ResolveReason
from settlement.reconciliation import FindingKind, FindingStatus
from settlement.states import CancelResult, State
from tests.support.broker_statements import (
    APPLIED,
    ENDS_AT,
    MARGIN,
    NOON,
    PLANTED,
    REVERSED,
    STARTS_AT,
    Case,
    agreeing,
    compare,
    fill,
    line,
    pages,
    planted,
    request,
    resolve,
    row,
    send,
)

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every page small, so that a small statement has many."""
    monkeypatch.setattr(comparison, "LINES_PER_PAGE", 7)
    monkeypatch.setattr(comparison, "SETTLEMENTS_PER_PAGE", 5)
    monkeypatch.setattr(comparison, "FINDINGS_PER_PAGE", 3)
    monkeypatch.setattr(statements, "LINES_DELETED_AT_ONCE", 6)


def lines_of(cases: Iterable[Case]) -> list[StatementLine]:
    return [line for case in cases for line in case.lines]


async def found(engine: AsyncEngine, status: FindingStatus | None = FindingStatus.OPEN) -> set[tuple[str, str]]:
    """Return number and kind of the findings."""
    page = await Findings(engine).page(status=status, before=None, limit=200)
    return {(str(each.request_unique_no), each.kind.value) for each in page.items}


async def judged(engine: AsyncEngine, ledger: dict[str, object] | None, *lines: StatementLine) -> tuple[set[str], int]:
    """Compare one settlement with a statement; return the kinds of its findings, and how many are undecided."""
    await fill(engine, [Case("N", ledger, lines)])
    statement = await compare(engine, lines)
    return {kind for _, kind in await found(engine)}, statement.undecided


async def test_exactly_the_planted_differences_become_findings(engine: AsyncEngine) -> None:
    cases = [*agreeing(103), *planted()]
    await fill(engine, cases)
    lines = lines_of(cases)
    statement = await compare(engine, lines)
    assert await found(engine) == PLANTED
    assert (statement.state, statement.differences, statement.findings_new) == (StatementState.DONE, 8, 8)
    assert (statement.lines_received, statement.lines_compared) == (len(lines), len(lines))
    assert statement.settlements_compared == 103 + 7
    assert statement.open_settlements == sum(case.row is not None and case.row["state"] == "ABORTED" for case in cases)
    assert (statement.undecided, statement.findings_open, statement.findings_closed) == (0, 0, 0)
    async with engine.connect() as connection:
        for table in (broker_statement_lines, broker_statement_differences):
            assert (await connection.execute(select(func.count()).select_from(table))).scalar_one() == 0


async def test_a_finding_names_amount_events_and_action(engine: AsyncEngine) -> None:
    await judged(engine, row("N", State.CANCELLED, CancelResult.NEVER_RECEIVED), line("N", APPLIED))
    (finding,) = (await Findings(engine).page(status=None, before=None, limit=10)).items
    assert (finding.kind, finding.amount, finding.currency) == ("STATEMENT_APPLIED_BUT_VOID", "12.50", "USD")
    assert finding.detail == (
        "the statement has APPLIED 12.50 USD at 2026-01-05T12:00:00.000Z, "
        "but the settlement is CANCELLED (NEVER_RECEIVED)"
    )
    assert finding.action.startswith("have the broker reverse the amount")


async def test_importing_again_reports_nothing_new(engine: AsyncEngine) -> None:
    cases = planted()
    await fill(engine, cases)
    await compare(engine, lines_of(cases))
    again = await compare(engine, lines_of(cases))
    assert (again.findings_new, again.findings_open, again.findings_closed) == (0, 8, 0)
    items = (await Findings(engine).page(status=None, before=None, limit=100)).items
    assert (len(items), {each.rounds for each in items}) == (8, {2})


async def test_a_closed_finding_stays_closed_until_the_difference_changes(engine: AsyncEngine) -> None:
    await fill(engine, [Case("N", row("N", State.CANCELLED, CancelResult.NOT_APPLIED), ())])
    await compare(engine, [line("N", APPLIED)])
    (finding,) = (await Findings(engine).page(status=None, before=None, limit=10)).items
    await Findings(engine).close(finding.finding_id, FindingStatus.CLOSED, "by ops-1", NOON)
    again = await compare(engine, [line("N", APPLIED)])
    assert (again.findings_new, again.findings_closed, await found(engine)) == (0, 1, set())
    changed = await compare(engine, [line("N", APPLIED, NOON + MINUTE)], digest="b")
    assert (changed.findings_new, await found(engine)) == (1, {("N", "STATEMENT_APPLIED_BUT_VOID")})


async def test_more_differences_than_allowed_report_nothing(engine: AsyncEngine) -> None:
    cases = planted()
    await fill(engine, cases)
    statement = await compare(engine, lines_of(cases), differences_max=7)
    assert (statement.state, statement.findings_new, await found(engine)) == (StatementState.REFUSED, 0, set())
    assert statement.completed_at is not None
    async with engine.connect() as connection:
        for table in (broker_statement_lines, broker_statement_differences):
            assert (await connection.execute(select(func.count()).select_from(table))).scalar_one() == 0


async def test_an_import_continues_where_it_stopped_and_counts_each_page_once(engine: AsyncEngine) -> None:
    """Two callers drive one comparison, as after a lost reply."""
    cases = [*agreeing(60), *planted()]
    await fill(engine, cases)
    lines = lines_of(cases)
    statement_id = await send(engine, lines)
    stale = StatementComparison(engine)
    async for statement in pages(engine, statement_id):
        if statement.state is StatementState.COMPARING_STATEMENT:
            old = await stale._row(statement_id)  # noqa: SLF001 - a page that another caller has read
            await stale.advance(statement_id)
            assert old is not None
            await stale._compare_statement(old)  # noqa: SLF001 - and writes late
    ended = await BrokerStatements(engine).find(statement_id)
    assert ended is not None
    assert (ended.lines_compared, ended.findings_new) == (len(lines), 8)
    assert await found(engine) == PLANTED


async def test_repeated_and_missing_lines(engine: AsyncEngine) -> None:
    record = BrokerStatements(engine)
    created = await record.create(request(3), "ops-1", NOON)
    statement_id = created.statement.statement_id
    first = StatementLines(position=0, lines=(line("A", APPLIED), line("B", APPLIED)))
    for _ in range(2):
        statement = await record.add_lines(statement_id, first, NOON)
        assert statement is not None
        assert statement.lines_received == 2
    again = await record.create(request(3), "ops-2", NOON)
    assert (again.is_new, again.statement.statement_id, again.statement.lines_received) == (False, statement_id, 2)
    for position, count in ((3, 1), (1, 2), (2, 2)):
        late = StatementLines(position=position, lines=(line("C", APPLIED),) * count)
        with pytest.raises(StatementRefusedError, match="2 of 3 lines"):
            await record.add_lines(statement_id, late, NOON)
    assert await record.add_lines(statement_id + 1, first, NOON) is None
    waiting = await StatementComparison(engine).advance(statement_id)
    assert waiting is not None
    assert waiting.state is StatementState.RECEIVING
    assert await StatementComparison(engine).advance(statement_id + 1) is None


async def test_the_number_of_unfinished_imports_is_limited_and_abandoned_ones_expire(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "UNFINISHED_MAX", 2)
    record = BrokerStatements(engine)
    old = await send(engine, [line(f"N-{each}", APPLIED) for each in range(20)], digest="a")
    await record.create(request(3, "b"), "ops-1", datetime.now(UTC))
    with pytest.raises(StatementRefusedError, match="have not ended"):
        await record.create(request(3, "c"), "ops-1", NOON)
    later = datetime.now(UTC) + timedelta(days=2)
    while await record.expire_one(later, later):
        continue
    assert {each.state for each in await record.newest(10)} == {StatementState.EXPIRED}
    expired = await record.find(old)
    assert expired is not None
    assert expired.completed_at == later
    async with engine.connect() as connection:
        left = (await connection.execute(select(func.count()).select_from(broker_statement_lines))).scalar_one()
    assert left == 0


async def test_a_number_with_more_lines_than_a_page_is_compared_once(engine: AsyncEngine) -> None:
    kinds, _ = await judged(engine, row("N"), *(line("N", APPLIED) for _ in range(30)), line("O", APPLIED))
    assert kinds == {"STATEMENT_APPLIED_TWICE", "STATEMENT_UNKNOWN_NUMBER"}


@pytest.mark.parametrize(
    ("reason", "kinds"),
    [
        (ResolveReason.WRITTEN_OFF, set()),
        (ResolveReason.NEVER_APPLIED, {"STATEMENT_APPLIED_BUT_VOID"}),
        (ResolveReason.REVERSED_BY_BROKER, {"STATEMENT_APPLIED_BUT_VOID"}),
    ],
)
async def test_a_resolution_is_compared_by_its_reason(
    engine: AsyncEngine, reason: ResolveReason, kinds: set[str]
) -> None:
    await fill(engine, [Case("N", row("N", State.RESOLVED), ())])
    await resolve(engine, "N", reason)
    await compare(engine, [line("N", APPLIED)])
    assert {kind for _, kind in await found(engine)} == kinds


@pytest.mark.parametrize(
    ("accepted_at", "updated_at", "kinds", "undecided"),
    [
        (STARTS_AT + MARGIN, None, {"STATEMENT_MISSING_BUT_SETTLED"}, 0),
        (STARTS_AT + MARGIN - MINUTE, None, set(), 1),
        (STARTS_AT, None, set(), 1),
        (STARTS_AT - MINUTE, None, set(), 0),
        (ENDS_AT - MARGIN - MINUTE, None, {"STATEMENT_MISSING_BUT_SETTLED"}, 0),
        (ENDS_AT - MARGIN - 2 * MINUTE, ENDS_AT - MARGIN, set(), 1),
        (ENDS_AT, None, set(), 0),
    ],
)
async def test_an_order_near_the_border_of_the_period_is_not_missing(
    engine: AsyncEngine, accepted_at: datetime, updated_at: datetime | None, kinds: set[str], undecided: int
) -> None:
    """Each order belongs to the statements in whose period it was accepted; what they cannot decide is counted."""
    ledger = row("N", accepted_at=accepted_at, updated_at=updated_at)
    assert await judged(engine, ledger) == (kinds, undecided)


async def test_a_reversal_that_can_be_in_the_next_statement_is_undecided(engine: AsyncEngine) -> None:
    ledger = row("N", State.CANCELLED, CancelResult.REVERSED, updated_at=ENDS_AT - MARGIN)
    assert await judged(engine, ledger, line("N", APPLIED)) == (set(), 1)


async def test_a_settlement_is_compared_as_it_is_now(engine: AsyncEngine) -> None:
    """ABORTED is no difference; once it has ended as reversed, the same statement shows that it was not."""
    assert await judged(engine, row("N", State.ABORTED), line("N", APPLIED)) == (set(), 0)
    async with engine.begin() as connection:
        await connection.execute(settlements.update().values(state="CANCELLED", cancel_result="REVERSED"))
    await compare(engine, [line("N", APPLIED)])
    assert await found(engine) == {("N", FindingKind.STATEMENT_APPLIED_BUT_VOID.value)}


async def test_rounds_of_reconciliation_never_look_at_these_findings(engine: AsyncEngine) -> None:
    await judged(engine, None, line("N", LineKind.REVERSED))
    assert await Findings(engine).open_not_seen_since(datetime.now(UTC) + timedelta(days=9), 100) == []
    assert REVERSED is LineKind.REVERSED


async def test_a_statement_is_compared_with_the_settlements_of_its_system_only(engine: AsyncEngine) -> None:
    """Settlements of another system are not missing; a number of another system is unknown; equal numbers differ."""
    cancelled = row("S-1", State.CANCELLED, CancelResult.REVERSED, system="beta") | {"company_id": 8}
    cases = [
        *(Case(f"A-{each}", row(f"A-{each}", system="alpha"), (line(f"A-{each}", APPLIED),)) for each in range(6)),
        *(Case(f"B-{each}", row(f"B-{each}", system="beta"), ()) for each in range(6)),
        Case("A-7", row("A-7", system="alpha"), ()),
        Case("B-7", row("B-7", system="beta"), (line("B-7", APPLIED),)),
        Case("S-1", row("S-1", system="alpha"), (line("S-1", APPLIED),)),
        Case("S-1", cancelled, ()),
    ]
    await fill(engine, cases)
    compared = await compare(engine, lines_of(cases), system="alpha")
    assert (compared.system, compared.settlements_compared) == ("alpha", 8)
    assert await found(engine) == {("A-7", "STATEMENT_MISSING_BUT_SETTLED"), ("B-7", "STATEMENT_UNKNOWN_NUMBER")}
    assert {each.system for each in (await Findings(engine).page(status=None, before=None, limit=50)).items} == {
        "alpha"
    }


async def test_the_same_lines_of_two_systems_are_two_imports(engine: AsyncEngine) -> None:
    first, second = [await send(engine, [line("N", APPLIED)], system=each) for each in ("alpha", "beta")]
    assert first != second
