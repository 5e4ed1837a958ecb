"""Compares a broker statement with the ledger, page by page and in both directions.

A page is read in one transaction and its result is written in another one, which also moves the cursor. The write
applies only to the revision that was read, so a repeated or concurrent page counts once, and a comparison continues
after a crash where it stopped.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import queries
from ledger.broker_statement.statements import delete_some_lines, to_statement
from ledger.broker_statement_tables import broker_statement_differences
from ledger.engine import reader
from ledger.reconciliation.findings import Findings
from ledger.transactions import insert, shielded_transaction
from settlement.broker_statement import BrokerStatement, LineKind, StatementState
from settlement.ids import SettlementId
from settlement.reconciliation import FindingKind
from settlement.statement_differences import (
    Booking,
    Comparison,
    LedgerEntry,
    Period,
    compare_absent,
    compare_number,
)
from settlement.states import CancelResult, State

LINES_PER_PAGE = 2_000
SETTLEMENTS_PER_PAGE = 1_000
FINDINGS_PER_PAGE = 20

_KINDS = {kind.value: kind for kind in LineKind}

Page = Callable[[Row[Any]], Awaitable[None]]
Changes = dict[str, Any]


class StatementComparison:
    """Compares statements whose lines have arrived. Errors are as in `ledger.settlements.Ledger`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = reader(engine)
        self._findings = Findings(engine)
        self._pages: dict[StatementState, Page] = {
            StatementState.RECEIVING: self._begin,
            StatementState.COMPARING_STATEMENT: self._compare_statement,
            StatementState.COMPARING_LEDGER: self._compare_ledger,
            StatementState.DELETING: self._delete,
            StatementState.REPORTING: self._report,
        }

    async def advance(self, statement_id: int) -> BrokerStatement | None:
        """Process the next page of an import and return the import. None: there is no such import.

        It changes nothing while lines are missing, and when the import has ended.
        """
        row = await self._row(statement_id)
        if row is None:
            return None
        page = self._pages.get(StatementState(row.state))
        if page is None:
            return to_statement(row)
        await page(row)
        after = await self._row(statement_id)
        return None if after is None else to_statement(after)

    @shielded_transaction
    async def _row(self, statement_id: int) -> Row[Any] | None:
        async with self._reader.connect() as connection:
            found: Row[Any] | None = (
                await connection.execute(queries.broker_statement.statement(statement_id))
            ).first()
        return found

    async def _begin(self, row: Row[Any]) -> None:
        if row.lines_received == row.line_count:
            await self._write(row, {"state": StatementState.COMPARING_STATEMENT.value})

    async def _compare_statement(self, row: Row[Any]) -> None:
        """Compare the next numbers of the statement with the ledger."""
        by_number, is_last = await self._next_lines(row)
        entries = await self._entries(row, list(by_number))
        period = _period(row)
        found = [compare_number(lines, entries.get(number), period) for number, lines in by_number.items()]
        count = sum(map(len, by_number.values()))
        changes: Changes = {"lines_compared": row.lines_compared + count}
        if is_last:
            changes |= {"state": StatementState.COMPARING_LEDGER.value, "number_after": ""}
        else:
            changes["number_after"] = next(reversed(by_number))
        await self._write(row, changes, found)

    @shielded_transaction
    async def _next_lines(self, row: Row[Any]) -> tuple[dict[str, list[Booking]], bool]:
        """Return the lines of the next numbers, and whether they are the last ones.

        The lines of one number are never split. Of a number with more lines than a page, the first ones are used.
        """
        query = queries.broker_statement.lines_after(row.statement_id, row.number_after, LINES_PER_PAGE)
        async with self._reader.connect() as connection:
            found = (await connection.execute(query)).all()
        by_number = {
            number: [_to_booking(each) for each in lines] for number, lines in groupby(found, lambda line: line.number)
        }
        is_last = len(found) < LINES_PER_PAGE
        if not is_last and len(by_number) > 1:
            by_number.popitem()  # its lines may continue on the next page
        return by_number, is_last

    @shielded_transaction
    async def _entries(self, row: Row[Any], numbers: Sequence[str]) -> dict[str, LedgerEntry]:
        async with self._reader.connect() as connection:
            ids = [SettlementId(row.system, number) for number in numbers]
            found = (await connection.execute(queries.broker_statement.entries(ids))).all()
            resolved = [each.settlement_id for each in found if each.state == State.RESOLVED]
            query = queries.broker_statement.resolutions(resolved)
            # Of several resolutions, which a restored backup can leave, the last one counts.
            reasons = {each.settlement_id: each.reason_code for each in (await connection.execute(query)).all()}
        return {each.settlement_id.number: _to_entry(each, reasons.get(each.settlement_id)) for each in found}

    async def _compare_ledger(self, row: Row[Any]) -> None:
        """Look up the next settlements of the period in the statement."""
        rows, absent = await self._accepted(row)
        period = _period(row)
        found = [compare_absent(entry, period) for entry in (await self._entries(row, absent)).values()]
        changes: Changes = {"settlements_compared": row.settlements_compared + len(rows)}
        if len(rows) < SETTLEMENTS_PER_PAGE:
            changes["state"] = StatementState.DELETING.value
        else:
            changes |= {"accepted_after": rows[-1].accepted_at, "number_after": rows[-1].settlement_id.number}
        await self._write(row, changes, found)

    @shielded_transaction
    async def _accepted(self, row: Row[Any]) -> tuple[Sequence[Row[Any]], list[str]]:
        """Return the next settlements of the period, and those of their numbers that the statement does not have."""
        # An empty number sorts before every number, so the period includes its begin.
        after = (row.accepted_after or row.starts_at, SettlementId(row.system, row.number_after))
        query = queries.broker_statement
        settlements = query.accepted(after, row.ends_at, SETTLEMENTS_PER_PAGE)
        async with self._reader.connect() as connection:
            found = (await connection.execute(settlements)).all()
            numbers = [each.settlement_id.number for each in found]
            listed = set((await connection.execute(query.listed(row.statement_id, numbers))).scalars())
        return found, [number for number in numbers if number not in listed]

    @shielded_transaction
    async def _write(self, row: Row[Any], changes: Changes, found: Sequence[Comparison] = ()) -> None:
        """Write the result of a page, unless the import has another revision now."""
        differences = [each for comparison in found for each in comparison.differences]
        changes["differences"] = row.differences + len(differences)
        changes["open_settlements"] = row.open_settlements + sum(each.is_open for each in found)
        changes["undecided"] = row.undecided + sum(each.is_undecided for each in found)
        if changes["differences"] > row.differences_max:
            changes["state"] = StatementState.DELETING.value
        values = [
            {
                "statement_id": row.statement_id,
                "number": each.number,
                "kind": each.kind.value,
                "detail": each.detail,
                "amount": each.amount,
                "currency": each.currency,
            }
            for each in differences
        ]
        async with self._engine.begin() as connection:
            written = await connection.execute(_advance(row, changes))
            if written.first() is not None and values:
                await connection.execute(insert(self._engine, broker_statement_differences), values)

    @shielded_transaction
    async def _delete(self, row: Row[Any]) -> None:
        """Delete the next lines; after the last one, report the differences or refuse the statement."""
        query = queries.broker_statement
        is_refused = row.differences > row.differences_max
        async with self._engine.begin() as connection:
            if (await connection.execute(_advance(row, {}))).first() is None:
                return
            if not await delete_some_lines(connection, row.statement_id):
                return
            after: Changes = {"state": StatementState.REPORTING.value}
            if is_refused:
                await connection.execute(query.delete_differences(row.statement_id, None))
                after = {"state": StatementState.REFUSED.value, "completed_at": datetime.now(UTC)}
            await connection.execute(query.advance(row.statement_id, row.revision + 1, after))

    async def _report(self, row: Row[Any]) -> None:
        """Make the next differences findings. An import that is continued after a crash may count one as open."""
        differences = await self._differences(row)
        counts = {"findings_new": 0, "findings_open": 0, "findings_closed": 0}
        for each in differences:
            counts[await self._report_one(row, each)] += 1
        changes: Changes = {name: getattr(row, name) + count for name, count in counts.items()}
        if len(differences) < FINDINGS_PER_PAGE:
            changes |= {"state": StatementState.DONE.value, "completed_at": datetime.now(UTC)}
        await self._end_report(row, changes, differences)

    async def _report_one(self, row: Row[Any], difference: Row[Any]) -> str:
        kind, about = FindingKind(difference.kind), SettlementId(row.system, difference.number)
        was_open = await self._findings.is_open(kind, about)
        finding = await self._findings.report(
            kind,
            about,
            difference.detail,
            round_started_at=row.created_at,
            amount=difference.amount,
            currency=difference.currency,
        )
        if finding is None:
            return "findings_closed"
        return "findings_open" if was_open else "findings_new"

    @shielded_transaction
    async def _differences(self, row: Row[Any]) -> Sequence[Row[Any]]:
        query = queries.broker_statement.differences(row.statement_id, FINDINGS_PER_PAGE)
        async with self._reader.connect() as connection:
            found: Sequence[Row[Any]] = (await connection.execute(query)).all()
        return found

    @shielded_transaction
    async def _end_report(self, row: Row[Any], changes: Changes, reported: Sequence[Row[Any]]) -> None:
        async with self._engine.begin() as connection:
            written = await connection.execute(_advance(row, changes))
            if written.first() is not None and reported:
                to = reported[-1].number, reported[-1].kind
                await connection.execute(queries.broker_statement.delete_differences(row.statement_id, to))


def _advance(row: Row[Any], changes: Changes) -> Any:  # noqa: ANN401 - an UPDATE with RETURNING
    values = {**changes, "updated_at": datetime.now(UTC)}
    return queries.broker_statement.advance(row.statement_id, row.revision, values)


def _period(row: Row[Any]) -> Period:
    return Period(row.starts_at, row.ends_at, timedelta(seconds=row.margin_s))


def _to_booking(row: Row[Any]) -> Booking:
    _, number, _, kind, amount, currency, at_ms = tuple(row)
    return Booking(number, _KINDS[kind], amount, currency, at_ms)


def _to_entry(row: Row[Any], resolve_reason: str | None) -> LedgerEntry:
    return LedgerEntry(
        number=row.settlement_id.number,
        state=State(row.state),
        cancel_result=row.cancel_result and CancelResult(row.cancel_result),
        amount=row.amount,
        currency=row.currency,
        accepted_at=row.accepted_at,
        updated_at=row.updated_at,
        resolve_reason=resolve_reason,
    )
