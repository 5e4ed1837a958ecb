"""The record of settlements. Each method is one transaction and reads one consistent state of the database.

Every writing transaction begins with a write, so that SQLite takes its write lock first and waits for it. If it began
with a read, it would fail immediately whenever another transaction wrote in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, String, Table, and_, literal, or_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contract.same_request import Identity, adjust_identity, differences
from ledger import queries, rows
from ledger.conflicts import DecisionConflictError, NumberConflictError, NumberReusedError
from ledger.engine import reader
from ledger.events import Events, read_events, read_versions
from ledger.exposure import read_exposure
from ledger.filters import NO_FILTER, SettlementFilter
from ledger.gauges import Gauges, read_gauges
from ledger.order_sums import count_new_order
from ledger.records import SettlementRecord, read_conflicting, read_record, with_audit
from ledger.tables import external_calls, operator_actions, settlements, state_changes
from ledger.transactions import insert, shielded_transaction
from settlement.exposure import Exposure, ExposureBy
from settlement.ids import SettlementId
from settlement.order_limits import OrderLimit
from settlement.scope import EVERYTHING, Scope
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.states import State
from settlement.tasks import RecordResult

PAGE_LIMIT_MAX = 200
SAME_NUMBER_MAX = 20
"""Maximum settlements with one number that are named to a caller. There can be one for each external system."""
ROWS_PER_STATEMENT = 500
"""Maximum rows in one INSERT, because databases limit the parameters of a statement. A long audit needs several."""


@dataclass(frozen=True)
class Page:
    """One page of settlements, newest first. `after` is the cursor of the next page; None on the last page."""

    settlements: tuple[SettlementRecord, ...]
    after: tuple[datetime, SettlementId] | None


class Ledger:
    """The record of settlements, their external calls and operator actions.

    `readers` is a second engine on the same database for reads such as lists and event streams. They then use no
    connection that `accept` and `record` need. By default all methods share one engine.

    Every method may raise `sqlalchemy.exc.SQLAlchemyError` or OSError if the database cannot be reached. A transaction
    is written completely or not at all. After a TimeoutError it may still be written later.
    """

    def __init__(self, engine: AsyncEngine, readers: AsyncEngine | None = None) -> None:
        self._engine = engine
        self._readers = readers or engine
        self._reader = reader(self._readers)

    @property
    def engine(self) -> AsyncEngine:
        """The engine of the database, for other records in the same database."""
        return self._engine

    @property
    def readers(self) -> AsyncEngine:
        """The engine for reads that must not use the connections of `accept`."""
        return self._readers

    @shielded_transaction
    async def accept(
        self, settlement: SettlementInput, snapshot: Snapshot, limits: Sequence[OrderLimit] = ()
    ) -> tuple[SettlementRecord, bool]:
        """Write a new settlement, unless its requestUniqueNo is in use. Return the settlement, and whether it is new.

        A number is in use if its external system has it, or if the same company has it at any external system: the
        company may have moved, and the order must not be settled twice. Of concurrent calls with one number, the unique
        keys let exactly one be new. So acceptance stays idempotent beyond Temporal's retention.

        A new order must be within the limits, which must be sorted by name. An order that exists is never counted twice
        and never refused by a limit.

        Raises:
            AmountLimitError: the order is new and above a limit. Nothing is written.
            NumberReusedError: the number belongs to another order (`contract.same_request` lists the compared fields).
                Nothing is written.
        """
        async with self._engine.begin() as connection:
            inserted = await connection.execute(
                insert(self._engine, settlements)
                .values(rows.settlement_values(settlement, snapshot))
                .on_conflict_do_nothing()
                .returning(settlements.c.version)
            )
            if inserted.first() is not None:
                await count_new_order(self._engine, connection, settlement, limits)
                return SettlementRecord(settlement, snapshot), True
        async with reader(self._engine).connect() as connection:
            accepted = await read_conflicting(connection, settlement)
        if accepted is None:
            message = f"{settlement.settlement_id} is missing after a conflict on its number; rows are never deleted"
            raise RuntimeError(message)
        if different := differences(_identity(accepted.settlement), _identity(settlement)):
            raise NumberReusedError(accepted, different)
        return accepted, False

    @shielded_transaction
    async def record(self, settlement: SettlementInput, snapshot: Snapshot) -> bool:
        """Write a snapshot if it is newer than the recorded one; return whether it was written.

        Repeating it, or writing an older snapshot, changes nothing. A missing row (restored backup) is inserted.

        Raises:
            DecisionConflictError: the ledger has the opposite decision. Nothing is written.
            NumberConflictError: the order has another settlement, at another external system. Nothing is written.
        """
        try:
            return await self._record(settlement, snapshot)
        except IntegrityError:
            known = await self._find_of_company(settlement.adjust.requestUniqueNo, settlement.company_id)
            if known is None or known.settlement_id == settlement.settlement_id:
                raise
            raise NumberConflictError(settlement.settlement_id, known.settlement_id) from None

    async def _record(self, settlement: SettlementInput, snapshot: Snapshot) -> bool:
        settlement_id = settlement.settlement_id
        async with self._engine.begin() as connection:
            written = await connection.execute(
                insert(self._engine, settlements)
                .values(rows.settlement_values(settlement, snapshot))
                .on_conflict_do_update(
                    index_elements=[settlements.c.settlement_id],
                    set_=rows.snapshot_values(snapshot),
                    where=and_(settlements.c.version < snapshot.version, _same_decision(snapshot)),
                )
                # RETURNING, because the row count of an upsert means different things on the two databases.
                .returning(settlements.c.version)
            )
            if written.first() is None:
                await self._raise_on_conflict(connection, settlement_id, snapshot)
                return False
            await self._upsert_audit(connection, settlement_id, snapshot)
        return True

    @shielded_transaction
    async def record_since(self, settlement_id: SettlementId, since_version: int, snapshot: Snapshot) -> RecordResult:
        """Write a snapshot that contains only the audit entries since the recorded version `since_version`.

        Repeating it, or writing an older snapshot, changes nothing. Returns LEDGER_BEHIND, without writing, if the row
        is missing or older than `since_version` (after a restored backup).

        Raises:
            DecisionConflictError: the ledger has the opposite decision. Nothing is written.
        """
        columns = settlements.c
        newer = and_(columns.version >= since_version, columns.version < snapshot.version, _same_decision(snapshot))
        async with self._engine.begin() as connection:
            written = await connection.execute(
                queries.settlements.record(settlement_id, newer, rows.snapshot_values(snapshot))
            )
            if written.first() is None:
                await self._raise_on_conflict(connection, settlement_id, snapshot)
                known = queries.settlements.version_since(settlement_id, since_version)
                is_current = (await connection.execute(known)).first() is not None
                return RecordResult.NOT_NEWER if is_current else RecordResult.LEDGER_BEHIND
            await self._upsert_audit(connection, settlement_id, snapshot)
        return RecordResult.RECORDED

    @shielded_transaction
    async def find(self, settlement_id: SettlementId, scope: Scope = EVERYTHING) -> SettlementRecord | None:
        """Return a settlement; None if it was never accepted, or not for a company of the scope."""
        async with self._reader.connect() as connection:
            return await read_record(connection, queries.settlements.settlement(settlement_id, scope))

    @shielded_transaction
    async def with_number(self, number: str, scope: Scope = EVERYTHING) -> list[SettlementId]:
        """Return the settlements in the scope with a number, in order of system: at most `SAME_NUMBER_MAX`."""
        async with self._reader.connect() as connection:
            found = await connection.execute(queries.settlements.with_number(number, SAME_NUMBER_MAX, scope))
        return sorted(found.scalars())

    @shielded_transaction
    async def find_of_company(self, number: str, company_id: int | None) -> SettlementRecord | None:
        """Return the settlement with a number of a company, whatever its external system; None if there is none."""
        return await self._find_of_company(number, company_id)

    async def _find_of_company(self, number: str, company_id: int | None) -> SettlementRecord | None:
        async with self._reader.connect() as connection:
            return await read_record(connection, queries.settlements.of_company(number, company_id))

    @shielded_transaction
    async def page(
        self, where: SettlementFilter = NO_FILTER, *, after: tuple[datetime, SettlementId] | None = None, limit: int
    ) -> Page:
        """Return up to `limit` settlements (at most `PAGE_LIMIT_MAX`), newest first, after the cursor `after`."""
        limit = min(limit, PAGE_LIMIT_MAX)
        if not where.by_company():
            return Page((), None)
        async with self._reader.connect() as connection:
            found = (await connection.execute(queries.settlements.page(where, after, limit + 1))).all()
            listed = await with_audit(connection, found[:limit])
        more = len(found) > limit
        last = found[limit - 1] if more else None
        return Page(tuple(listed), (last.accepted_at, last.settlement_id) if last else None)

    @shielded_transaction
    async def events(self, settlement_id: SettlementId, after: int, scope: Scope = EVERYTHING) -> Events | None:
        """Return the events with an id above `after` (-1 for all); None if `find` would return None."""
        async with self._reader.connect() as connection:
            return await read_events(connection, settlement_id, after, scope)

    @shielded_transaction
    async def versions(self, settlement_ids: Sequence[SettlementId]) -> dict[SettlementId, int]:
        """Return the versions of at most `ledger.events.VERSIONS_MAX` settlements; they grow with every change."""
        async with self._reader.connect() as connection:
            return await read_versions(connection, settlement_ids)

    @shielded_transaction
    async def exposure(self, as_of: datetime, by: ExposureBy = ExposureBy.AGE, scope: Scope = EVERYTHING) -> Exposure:
        """Return the money in doubt of the scope's companies, with lines by age at `as_of`, or by cause."""
        async with self._reader.connect() as connection:
            return await read_exposure(connection, as_of, by, scope)

    @shielded_transaction
    async def gauges(self) -> Gauges:
        """Return the counts and times that alerts need, consistent with each other."""
        async with self._reader.connect() as connection:
            return await read_gauges(connection)

    @shielded_transaction
    async def check(self) -> None:
        """Raise an error unless the database answers and has the ledger's tables. Uses the same engine as `accept`."""
        async with self._engine.connect() as connection:
            await connection.execute(queries.settlements.check())

    async def _raise_on_conflict(
        self, connection: AsyncConnection, settlement_id: SettlementId, snapshot: Snapshot
    ) -> None:
        query = queries.settlements.conflicting_decision(settlement_id, snapshot.decision)
        if (known := (await connection.execute(query)).first()) is not None:
            raise DecisionConflictError(settlement_id, State(known.state), snapshot.state)

    async def _upsert_audit(self, connection: AsyncConnection, settlement_id: SettlementId, snapshot: Snapshot) -> None:
        await self._upsert(connection, external_calls, rows.call_values(settlement_id, snapshot))
        await self._upsert(connection, operator_actions, rows.action_values(settlement_id, snapshot))
        await self._upsert(connection, state_changes, rows.state_change_values(settlement_id, snapshot))

    async def _upsert(self, connection: AsyncConnection, table: Table, values: list[rows.Values]) -> None:
        """Insert rows, or replace rows with the same primary key by the same or more complete content."""
        for first in range(0, len(values), ROWS_PER_STATEMENT):
            statement = insert(self._engine, table).values(values[first : first + ROWS_PER_STATEMENT])
            changeable = {each.name: statement.excluded[each.name] for each in table.columns if not each.primary_key}
            await connection.execute(
                statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changeable)
            )


def _identity(settlement: SettlementInput) -> Identity:
    return adjust_identity(settlement.adjust, settlement.company_id)


def _same_decision(snapshot: Snapshot) -> ColumnElement[bool]:
    """Return the condition that a row has no decision yet, or the snapshot's. A decision never changes."""
    return or_(settlements.c.decision.is_(None), settlements.c.decision == literal(snapshot.decision, String))
