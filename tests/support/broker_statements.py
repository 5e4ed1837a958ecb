"""A ledger and a broker's statement that agree, except for one planted difference of each kind."""

import contextlib
import csv
import itertools
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import BrokerStatements, StatementComparison
from ledger.audit_writes import first_audit
from ledger.rows import settlement_values
from ledger.tables import settlements
from settlement.broker_statement import (
    LINES_PER_REQUEST_MAX,
    BrokerStatement,
    LineKind,
    StatementLine,
    StatementLines,
    StatementRequest,
    StatementState,
)
from settlement.ids import SettlementId
from settlement.reconciliation import STATEMENT_KINDS, FindingKind
from settlement.snapshot import ActionKind, OperatorAction, Snapshot
from settlement.start import DEFAULT_SYSTEM
from settlement.states import CancelResult, State, decision_of
from simulator.statement import COLUMNS
from tests.support.orders import id_of, settlement

STARTS_AT = datetime(2026, 1, 5, tzinfo=UTC)
ENDS_AT = STARTS_AT + timedelta(days=1)
MARGIN = timedelta(minutes=5)
NOON = STARTS_AT + timedelta(hours=12)
APPLIED, REVERSED = LineKind.APPLIED, LineKind.REVERSED
ENDED_AFTER = timedelta(seconds=2)


@dataclass(frozen=True)
class Case:
    """One number: its row in the ledger, if it has one, and its lines in the statement."""

    number: str
    row: Mapping[str, Any] | None
    lines: tuple[StatementLine, ...]


def line(
    number: str, kind: LineKind, at: datetime = NOON, amount: str = "12.50", currency: str = "USD"
) -> StatementLine:
    """Return one line of the statement."""
    return StatementLine(
        request_unique_no=number, kind=kind, amount=amount, currency=currency, at_ms=int(at.timestamp() * 1000)
    )


_ROW = settlement_values(
    settlement(requestUniqueNo="any", accepted_at=NOON),
    Snapshot(version=1, state=State.SETTLED, updated_at=NOON),
)


def row(  # noqa: PLR0913, PLR0917 - a test says only what it wants otherwise
    number: str,
    state: State = State.SETTLED,
    cancel_result: CancelResult | None = None,
    accepted_at: datetime = NOON,
    updated_at: datetime | None = None,
    system: str = DEFAULT_SYSTEM,
) -> dict[str, Any]:
    """Return the row of a settlement."""
    decision = decision_of(state)
    return _ROW | {
        "settlement_id": id_of(number, system),
        "request_unique_no": number,
        "system": system,
        "state": state.value,
        "decision": decision and decision.value,
        "cancel_result": cancel_result and cancel_result.value,
        "accepted_at": accepted_at,
        "decided_at": accepted_at + ENDED_AFTER,
        "updated_at": updated_at or accepted_at + ENDED_AFTER,
    }


def planted() -> list[Case]:
    """Return one case of each kind of difference, in the order of the kinds."""

    def cancelled(number: str) -> dict[str, Any]:
        return row(number, State.CANCELLED, CancelResult.REVERSED)

    found = {
        FindingKind.STATEMENT_APPLIED_BUT_VOID: (cancelled("P-1"), [line("P-1", APPLIED)]),
        FindingKind.STATEMENT_MISSING_BUT_SETTLED: (row("P-2"), []),
        FindingKind.STATEMENT_REVERSED_BUT_SETTLED: (row("P-3"), [line("P-3", APPLIED), line("P-3", REVERSED)]),
        FindingKind.STATEMENT_APPLIED_TWICE: (row("P-4"), [line("P-4", APPLIED), line("P-4", APPLIED)]),
        FindingKind.STATEMENT_REVERSED_TWICE: (
            cancelled("P-5"),
            [line("P-5", APPLIED), line("P-5", REVERSED), line("P-5", REVERSED)],
        ),
        FindingKind.STATEMENT_DIFFERENT_AMOUNT: (row("P-6"), [line("P-6", APPLIED, amount="12.05")]),
        FindingKind.STATEMENT_UNKNOWN_NUMBER: (None, [line("P-7", APPLIED)]),
        FindingKind.STATEMENT_MISSING_NUMBER: (cancelled("P-8"), []),
    }
    assert set(found) == STATEMENT_KINDS
    return [Case(f"P-{each}", ledger, tuple(lines)) for each, (ledger, lines) in enumerate(found.values(), start=1)]


PLANTED: set[tuple[str, str]] = {
    (f"P-{each}", kind.value)
    for each, kind in enumerate((kind for kind in FindingKind if kind in STATEMENT_KINDS), start=1)
}
"""Number and kind of every planted difference."""


def agreeing(count: int) -> Iterator[Case]:
    """Yield settlements of every end, spread over the period, that agree with the statement."""
    inside = ENDS_AT - STARTS_AT - 3 * MARGIN
    for each in range(count):
        number = f"N-{(each * 7_919) % 10_000_019:08}"  # in no order
        at = STARTS_AT + MARGIN + each * inside / count
        if each % 50 == 1:
            ledger = row(number, State.CANCELLED, CancelResult.REVERSED, at)
            yield Case(number, ledger, (line(number, APPLIED, at), line(number, REVERSED, at + ENDED_AFTER)))
        elif each % 50 == 2:
            yield Case(number, row(number, State.CANCELLED, CancelResult.NEVER_RECEIVED, at), ())
        elif each % 50 == 3:
            yield Case(number, row(number, State.ABORTED, None, at), (line(number, APPLIED, at),))
        else:
            yield Case(number, row(number, accepted_at=at), (line(number, APPLIED, at, amount="12.5"),))


async def fill(engine: AsyncEngine, cases: Iterable[Case]) -> None:
    """Insert the rows of the cases into the ledger."""
    for chunk in _batched(cases, 5_000):
        rows = [dict(case.row) for case in chunk if case.row is not None]
        if rows:
            async with engine.begin() as connection:
                await connection.execute(insert(settlements), rows)


async def fill_many(engine: AsyncEngine, path: Path, cases: Iterable[Case]) -> None:
    """Insert the rows of very many cases into a ledger on SQLite; faster than `fill`."""
    names = (
        "settlement_id",
        "request_unique_no",
        "state",
        "decision",
        "cancel_result",
        "accepted_at",
        "decided_at",
        "updated_at",
    )
    template = id_of("template")
    await fill(engine, [Case(template.number, row(template.number, accepted_at=ENDS_AT + MARGIN), ())])
    copied = ", ".join(f":{each.name}" if each.name in names else each.name for each in settlements.columns)
    insert_copy = f"INSERT INTO settlements SELECT {copied} FROM settlements WHERE settlement_id = '{template}'"  # noqa: S608 - fixed names
    rows = (case.row for case in cases if case.row is not None)
    as_text = ({name: _sqlite_value(each[name]) for name in names} for each in rows)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        indexes = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        of_settlements = [(name, sql) for name, sql in indexes.fetchall() if " ON settlements " in sql]
        for name, _ in of_settlements:
            connection.execute(f"DROP INDEX {name}")
        connection.execute("BEGIN")
        connection.executemany(insert_copy, as_text)
        # An index is built much faster from all rows than row by row.
        for _, sql in of_settlements:
            connection.execute(sql)
        connection.execute("COMMIT")


def _sqlite_value(value: object) -> object:
    """Return a time or an id as SQLAlchemy stores it on SQLite; another value unchanged."""
    if isinstance(value, SettlementId):
        return str(value)
    return value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value


def _batched(items: Iterable[Any], size: int) -> Iterator[tuple[Any, ...]]:
    remaining = iter(items)
    while chunk := tuple(itertools.islice(remaining, size)):
        yield chunk


async def resolve(engine: AsyncEngine, number: str, reason: str) -> None:
    """Add the act of the operator who resolved a settlement."""
    act = OperatorAction(kind=ActionKind.RESOLVE, operator="ops-1", reason_code=reason, note="by hand", at=NOON)
    snapshot = Snapshot(version=2, state=State.RESOLVED, updated_at=NOON, actions=(act,))
    async with engine.begin() as connection:
        for table, rows in first_audit(id_of(number), snapshot).parts:
            if rows:
                await connection.execute(insert(table), rows)


def write_csv(path: Path, cases: Iterable[Case]) -> int:
    """Write the statement as the simulator does, in no order of number; return the number of lines."""
    count = 0
    with path.open("w", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(COLUMNS)
        for each in (line for case in cases for line in case.lines):
            amount = f"-{each.amount}" if each.kind is REVERSED else each.amount
            writer.writerow((each.request_unique_no, each.kind.lower(), amount, each.currency, each.at.isoformat()))
            count += 1
    return count


def request(line_count: int, digest: str = "a", **fields: Any) -> StatementRequest:  # noqa: ANN401 - any field
    """Return the request of an import over the whole day."""
    whole: dict[str, Any] = {"digest": digest * 64, "starts_at": STARTS_AT, "ends_at": ENDS_AT} | fields
    return StatementRequest(line_count=line_count, **whole)


async def send(engine: AsyncEngine, lines: Iterable[StatementLine], **fields: Any) -> int:  # noqa: ANN401 - any field
    """Begin an import and send its lines; return its id."""
    all_lines = list(lines)
    statements = BrokerStatements(engine)
    created = await statements.create(request(len(all_lines), **fields), "ops-1", datetime.now(UTC))
    statement_id = created.statement.statement_id
    for position in range(0, len(all_lines), LINES_PER_REQUEST_MAX):
        chunk = tuple(all_lines[position : position + LINES_PER_REQUEST_MAX])
        await statements.add_lines(statement_id, StatementLines(position=position, lines=chunk), datetime.now(UTC))
    return statement_id


async def pages(engine: AsyncEngine, statement_id: int) -> AsyncIterator[BrokerStatement]:
    """Compare page by page; yield the import after each page, to its end."""
    comparison = StatementComparison(engine)
    while True:
        statement = await comparison.advance(statement_id)
        assert statement is not None
        yield statement
        if statement.state in {StatementState.DONE, StatementState.REFUSED}:
            return


async def compare(engine: AsyncEngine, lines: Iterable[StatementLine], **fields: Any) -> BrokerStatement:  # noqa: ANN401 - any field
    """Import a statement and compare it to its end."""
    statement_id = await send(engine, lines, **fields)
    return [statement async for statement in pages(engine, statement_id)][-1]
