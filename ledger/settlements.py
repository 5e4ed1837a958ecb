"""The record of settlements. One method is one transaction, and sees one moment of the database.

Each writing transaction begins with a write, so that SQLite takes its lock at once and waits for it;
one that began with a read would fail at once whenever another writer came between.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, String, Table, and_, literal, or_
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contract.same_request import Identity, adjust_identity, differences
from ledger import queries, rows
from ledger.engine import reader
from ledger.events import Events, read_events, read_versions
from ledger.exposure import read_exposure
from ledger.filters import EVERYTHING, SettlementFilter
from ledger.gauges import Gauges, read_gauges
from ledger.tables import external_calls, operator_actions, settlements, state_changes
from ledger.transactions import insert, shielded_transaction
from settlement.exposure import Exposure, ExposureBy
from settlement.reconciliation import conflict_detail
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.states import State
from settlement.tasks import RecordResult

PAGE_LIMIT_MAX = 200
ROWS_PER_STATEMENT = 500
"""Databases limit the parameters of one statement; a long audit goes in several."""


class DecisionConflictError(SQLAlchemyError):
    """Two decisions on one settlement: two Temporals have worked on it, or one was set back. A person must look."""

    def __init__(self, number: str, ledgers: State, own: State) -> None:
        self.detail = conflict_detail(ledgers, own)
        """What a finding says of it."""
        super().__init__(f"settlement {number}: {self.detail}")


@dataclass(frozen=True)
class SettlementRecord:
    """A settlement as the ledger has it."""

    settlement: SettlementInput
    snapshot: Snapshot

    @property
    def number(self) -> str:
        """Its requestUniqueNo."""
        return self.settlement.adjust.requestUniqueNo


class NumberReusedError(Exception):
    """The number belongs to another order. Nothing was written: that order and its settlement are unchanged."""

    def __init__(self, accepted: SettlementRecord, fields: Sequence[str]) -> None:
        super().__init__(f"{accepted.number} belongs to an order that differs in {', '.join(fields)}")
        self.accepted = accepted
        """The settlement that has the number."""
        self.fields = tuple(fields)
        """Where the orders differ, as the request names it."""


@dataclass(frozen=True)
class Page:
    """One page of settlements, newest first; `after` continues it, None: no more."""

    settlements: tuple[SettlementRecord, ...]
    after: tuple[datetime, str] | None


class Ledger:
    """The record of settlements, their external calls and operator acts.

    `readers` is a second engine on the same database: what only reads, such as lists and event streams, then takes
    none of the connections that `accept` and `record` need. Without it all share one.

    Every method may raise `sqlalchemy.exc.SQLAlchemyError` or OSError when the database is out of reach. A
    transaction is written whole or not at all; after a TimeoutError it may still be.
    """

    def __init__(self, opened: AsyncEngine, readers: AsyncEngine | None = None) -> None:
        self._engine = opened
        self._readers = readers or opened
        self._reader = reader(self._readers)

    @property
    def engine(self) -> AsyncEngine:
        """The database, for the other records that are kept in it."""
        return self._engine

    @property
    def readers(self) -> AsyncEngine:
        """The database, for other records that no acceptance waits for."""
        return self._readers

    @shielded_transaction
    async def accept(self, settlement: SettlementInput, snapshot: Snapshot) -> tuple[SettlementRecord, bool]:
        """Write a new settlement, unless its number is taken; return the one that has the number, and if it is new.

        The unique key makes this the idempotency that outlives Temporal's retention: of many callers
        with one number exactly one is told that it is new. Raises NumberReusedError where the number belongs to
        another order (`contract.same_request` says which fields make it another one); nothing is written then.
        """
        number = settlement.adjust.requestUniqueNo
        async with self._engine.begin() as connection:
            inserted = await connection.execute(
                insert(self._engine, settlements)
                .values(rows.settlement_values(settlement, snapshot))
                .on_conflict_do_nothing(index_elements=[settlements.c.request_unique_no])
                .returning(settlements.c.version)
            )
            if inserted.first() is not None:
                return SettlementRecord(settlement, snapshot), True
        async with reader(self._engine).connect() as connection:
            accepted = await _read(connection, number)
        if accepted is None:
            message = f"settlement {number} vanished; rows of the ledger are never deleted"
            raise RuntimeError(message)
        if different := differences(_identity(accepted.settlement), _identity(settlement)):
            raise NumberReusedError(accepted, different)
        return accepted, False

    @shielded_transaction
    async def record(self, settlement: SettlementInput, snapshot: Snapshot) -> bool:
        """Write a snapshot if it is newer than what is there; return whether it was.

        Repeating it changes nothing, an older snapshot changes nothing, and a row that was lost (a
        restored backup) is written anew. Raises DecisionConflictError rather than change a decision.
        """
        number = settlement.adjust.requestUniqueNo
        async with self._engine.begin() as connection:
            written = await connection.execute(
                insert(self._engine, settlements)
                .values(rows.settlement_values(settlement, snapshot))
                .on_conflict_do_update(
                    index_elements=[settlements.c.request_unique_no],
                    set_=rows.snapshot_values(snapshot),
                    where=and_(settlements.c.version < snapshot.version, _same_decision(snapshot)),
                )
                # The rows themselves tell: the count of an insert is not the same thing on both databases.
                .returning(settlements.c.version)
            )
            if written.first() is None:
                await self._refuse_another_decision(connection, number, snapshot)
                return False
            await self._put_audit(connection, number, snapshot)
        return True

    @shielded_transaction
    async def record_since(self, request_unique_no: str, since_version: int, snapshot: Snapshot) -> RecordResult:
        """Write what a snapshot carries on top of what was written with an earlier version of it.

        Repeating it changes nothing, an older snapshot changes nothing. LEDGER_BEHIND: the row is lost, or older than
        `since_version` (a restored backup), and nothing was written. Raises DecisionConflictError rather than change
        a decision.
        """
        by = settlements.c
        newer = and_(by.version >= since_version, by.version < snapshot.version, _same_decision(snapshot))
        async with self._engine.begin() as connection:
            written = await connection.execute(
                queries.settlements.record(request_unique_no, newer, rows.snapshot_values(snapshot))
            )
            if written.first() is None:
                await self._refuse_another_decision(connection, request_unique_no, snapshot)
                known = queries.settlements.version_since(request_unique_no, since_version)
                there = (await connection.execute(known)).first() is not None
                return RecordResult.NOT_NEWER if there else RecordResult.LEDGER_BEHIND
            await self._put_audit(connection, request_unique_no, snapshot)
        return RecordResult.RECORDED

    @shielded_transaction
    async def find(self, request_unique_no: str) -> SettlementRecord | None:
        """Return a settlement; None: this number was never accepted."""
        async with self._reader.connect() as connection:
            return await _read(connection, request_unique_no)

    @shielded_transaction
    async def page(
        self, where: SettlementFilter = EVERYTHING, *, after: tuple[datetime, str] | None = None, limit: int
    ) -> Page:
        """Return up to `limit` settlements (at most `PAGE_LIMIT_MAX`), newest first, from behind `after`."""
        limit = min(limit, PAGE_LIMIT_MAX)
        async with self._reader.connect() as connection:
            found = (await connection.execute(queries.settlements.page(where, after, limit + 1))).all()
            listed = await _complete(connection, found[:limit])
        more = len(found) > limit
        last = found[limit - 1] if more else None
        return Page(tuple(listed), (last.accepted_at, last.request_unique_no) if last else None)

    @shielded_transaction
    async def events(self, request_unique_no: str, after: int) -> Events | None:
        """Return the state changes behind event `after` (-1: all); None: this number was never accepted."""
        async with self._reader.connect() as connection:
            return await read_events(connection, request_unique_no, after)

    @shielded_transaction
    async def versions(self, numbers: Sequence[str]) -> dict[str, int]:
        """Return the versions of at most `ledger.events.VERSIONS_MAX` settlements; each grows with every change."""
        async with self._reader.connect() as connection:
            return await read_versions(connection, numbers)

    @shielded_transaction
    async def exposure(self, as_of: datetime, by: ExposureBy = ExposureBy.AGE) -> Exposure:
        """Return the money in doubt, its lines by age as of a moment, or by cause."""
        async with self._reader.connect() as connection:
            return await read_exposure(connection, as_of, by)

    @shielded_transaction
    async def gauges(self) -> Gauges:
        """Count what an alert must see, all of it at one moment."""
        async with self._reader.connect() as connection:
            return await read_gauges(connection)

    @shielded_transaction
    async def check(self) -> None:
        """Return if the database answers and has the ledger's tables; raise if not. Asks as `accept` does."""
        async with self._engine.connect() as connection:
            await connection.execute(queries.settlements.check())

    async def _refuse_another_decision(self, connection: AsyncConnection, number: str, snapshot: Snapshot) -> None:
        query = queries.settlements.other_decision(number, snapshot.decision)
        if (known := (await connection.execute(query)).first()) is not None:
            raise DecisionConflictError(number, State(known.state), snapshot.state)

    async def _put_audit(self, connection: AsyncConnection, number: str, snapshot: Snapshot) -> None:
        await self._put(connection, external_calls, rows.call_values(number, snapshot))
        await self._put(connection, operator_actions, rows.act_values(number, snapshot))
        await self._put(connection, state_changes, rows.state_change_values(number, snapshot))

    async def _put(self, connection: AsyncConnection, table: Table, values: list[rows.Values]) -> None:
        """Write rows by primary key; what is there already is replaced by the same or a fuller record."""
        for first in range(0, len(values), ROWS_PER_STATEMENT):
            statement = insert(self._engine, table).values(values[first : first + ROWS_PER_STATEMENT])
            changeable = {each.name: statement.excluded[each.name] for each in table.columns if not each.primary_key}
            await connection.execute(
                statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changeable)
            )


def _identity(settlement: SettlementInput) -> Identity:
    return adjust_identity(settlement.adjust, settlement.company_id)


def _same_decision(snapshot: Snapshot) -> ColumnElement[bool]:
    """Say that a row has no decision yet or the snapshot's: a decision that was given never changes."""
    return or_(settlements.c.decision.is_(None), settlements.c.decision == literal(snapshot.decision, String))


async def _read(connection: AsyncConnection, number: str) -> SettlementRecord | None:
    row = await connection.execute(queries.settlements.settlement(number))
    found = await _complete(connection, row.all())
    return found[0] if found else None


async def _complete(connection: AsyncConnection, found: Sequence[Row[Any]]) -> list[SettlementRecord]:
    """Add to rows of settlements their calls, acts and state changes, by one statement each."""
    numbers = [row.request_unique_no for row in found]
    calls = await _parts(connection, external_calls, numbers)
    acts = await _parts(connection, operator_actions, numbers)
    changes = await _parts(connection, state_changes, numbers)
    return [
        SettlementRecord(rows.to_input(row), rows.to_snapshot(row, calls[number], acts[number], changes[number]))
        for number, row in zip(numbers, found, strict=True)
    ]


async def _parts(connection: AsyncConnection, table: Table, numbers: list[str]) -> defaultdict[str, list[Row[Any]]]:
    by_settlement: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for row in (await connection.execute(queries.settlements.parts(table, numbers))).all():
        by_settlement[row.settlement_no].append(row)
    return by_settlement
