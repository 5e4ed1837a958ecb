"""The record of broker statements: their import, and the lines that have arrived."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import queries
from ledger.broker_statement_tables import broker_statement_lines, broker_statements
from ledger.engine import reader
from ledger.schema import UNFINISHED
from ledger.transactions import insert, shielded_transaction
from settlement.broker_statement import BrokerStatement, StatementLines, StatementRequest, StatementState

STATEMENT_PAGE_MAX = 50
UNFINISHED_MAX = 20
"""Maximum number of imports that have not ended, so that lines do not pile up."""
LINES_DELETED_AT_ONCE = 5_000
"""Lines deleted in one transaction: few enough that an order that is accepted on SQLite does not wait noticeably."""


class StatementRefusedError(Exception):
    """The request does not fit the state of the import. Nothing was written. The message says what would fit."""


@dataclass(frozen=True)
class CreatedStatement:
    """The import of a create request: new, or one that has not ended and is continued."""

    statement: BrokerStatement
    is_new: bool


class BrokerStatements:
    """The record of broker statements. Errors are as in `ledger.settlements.Ledger`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = reader(engine)

    @shielded_transaction
    async def create(
        self, request: StatementRequest, operator: str, at: datetime, *, key_id: str | None = None
    ) -> CreatedStatement:
        """Begin an import, or return the one of the same lines, system, period and limits that has not ended.

        An import that has ended is never returned: the same file is compared again, as the ledger may have changed.
        Raises StatementRefusedError if `UNFINISHED_MAX` imports have not ended.
        """
        columns = broker_statements.c
        statement = (
            insert(self._engine, broker_statements)
            .values(_first_values(request, operator, at) | {"key_id": key_id})
            .on_conflict_do_nothing(
                index_elements=[
                    *(columns.digest, columns.system, columns.starts_at, columns.ends_at),
                    *(columns.margin_s, columns.differences_max, columns.line_count),
                ],
                index_where=UNFINISHED,
            )
            .returning(broker_statements)
        )
        async with self._engine.begin() as connection:
            created = (await connection.execute(statement)).first()
            if created is None:
                found = (await connection.execute(queries.broker_statement.unfinished(request))).one()
                return CreatedStatement(to_statement(found), is_new=False)
            not_ended = (await connection.execute(queries.broker_statement.all_unfinished())).all()
            if len(not_ended) > UNFINISHED_MAX:
                ids = ", ".join(str(each.statement_id) for each in not_ended[:3])
                message = f"{UNFINISHED_MAX} imports have not ended, such as {ids}: import their files again first"
                raise StatementRefusedError(message)
        return CreatedStatement(to_statement(created), is_new=True)

    @shielded_transaction
    async def add_lines(self, statement_id: int, lines: StatementLines, at: datetime) -> BrokerStatement | None:
        """Store the next lines. Lines that have arrived before change nothing. None: there is no such import.

        Raises StatementRefusedError if lines before these are missing, if there are more lines than announced, or if
        the comparison has begun and these lines are new.
        """
        end = lines.position + len(lines.lines)
        async with self._engine.begin() as connection:
            # The first statement is a write, so that SQLite takes its write lock first.
            row = (await connection.execute(queries.broker_statement.touch(statement_id, at))).first()
            if row is None:
                return None
            if end <= row.lines_received:
                return to_statement(row)
            if row.state != StatementState.RECEIVING or lines.position != row.lines_received or end > row.line_count:
                message = (
                    f"the import is {row.state} with {row.lines_received} of {row.line_count} lines, "
                    f"so it cannot take the lines {lines.position} to {end}"
                )
                raise StatementRefusedError(message)
            await connection.execute(insert(self._engine, broker_statement_lines), _line_values(statement_id, lines))
            received = queries.broker_statement.advance(statement_id, row.revision, {"lines_received": end})
            await connection.execute(received)
            found = (await connection.execute(queries.broker_statement.statement(statement_id))).one()
        return to_statement(found)

    @shielded_transaction
    async def find(self, statement_id: int) -> BrokerStatement | None:
        """Return an import; None if there is none with this id."""
        found = await self._read(queries.broker_statement.statement(statement_id))
        return found[0] if found else None

    @shielded_transaction
    async def newest(self, limit: int) -> list[BrokerStatement]:
        """Return up to `limit` imports (at most `STATEMENT_PAGE_MAX`), newest first."""
        return await self._read(queries.broker_statement.newest(min(limit, STATEMENT_PAGE_MAX)))

    @shielded_transaction
    async def expire_one(self, unchanged_since: datetime, at: datetime) -> bool:
        """Delete some lines of an import that was last written before `unchanged_since`. False: there is none.

        When its last line is deleted, it is EXPIRED.
        """
        query = queries.broker_statement
        async with self._reader.connect() as connection:
            not_ended = (await connection.execute(query.all_unfinished())).all()
        old = next((row for row in not_ended if row.updated_at < unchanged_since), None)
        if old is None:
            return False
        async with self._engine.begin() as connection:
            if (await connection.execute(query.advance(old.statement_id, old.revision, {}))).first() is None:
                return True
            if await delete_some_lines(connection, old.statement_id):
                await connection.execute(query.delete_differences(old.statement_id, None))
                end = {"state": StatementState.EXPIRED.value, "completed_at": at}
                await connection.execute(query.advance(old.statement_id, old.revision + 1, end))
        return True

    async def _read(self, query: Select[Any]) -> list[BrokerStatement]:
        async with self._reader.connect() as connection:
            return [to_statement(row) for row in (await connection.execute(query)).all()]


async def delete_some_lines(connection: AsyncConnection, statement_id: int) -> bool:
    """Delete about `LINES_DELETED_AT_ONCE` lines of a statement; return whether none are left."""
    query = queries.broker_statement
    nth = (await connection.execute(query.nth_number(statement_id, LINES_DELETED_AT_ONCE))).scalar_one_or_none()
    to_number = nth or (await connection.execute(query.last_number(statement_id))).scalar_one_or_none()
    if to_number is not None:
        await connection.execute(query.delete_lines(statement_id, to_number))
    return nth is None


def to_statement(row: Row[Any]) -> BrokerStatement:
    """Return the import of a row."""
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    comparing = row.state == StatementState.COMPARING_LEDGER
    return BrokerStatement.model_validate({**values, "ledger_compared_to": row.accepted_after if comparing else None})


def _first_values(request: StatementRequest, operator: str, at: datetime) -> dict[str, Any]:
    counts = dict.fromkeys(
        (
            *("revision", "lines_received", "lines_compared", "settlements_compared", "open_settlements"),
            *("undecided", "differences", "findings_new", "findings_open", "findings_closed"),
        ),
        0,
    )
    return {
        **counts,
        **request.model_dump(by_alias=False),
        "state": StatementState.RECEIVING.value,
        "operator": operator,
        "number_after": "",
        "created_at": at,
        "updated_at": at,
    }


def _line_values(statement_id: int, lines: StatementLines) -> list[dict[str, Any]]:
    return [
        {
            "statement_id": statement_id,
            "number": line.request_unique_no,
            "position": position,
            "kind": line.kind.value,
            "amount": line.amount,
            "currency": line.currency,
            "at_ms": line.at_ms,
        }
        for position, line in enumerate(lines.lines, start=lines.position)
    ]
