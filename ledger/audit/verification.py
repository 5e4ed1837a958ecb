"""Reads the ledger page by page and verifies every chain. Memory is bounded by one page."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, Table
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import queries
from ledger.audit.chains import Entry, Fault, FaultKind, faults_of
from ledger.chain import hash_of_event
from ledger.engine import reader
from ledger.tables import external_calls, operator_actions, state_changes
from ledger.transactions import read
from settlement.ids import SettlementId

AUDIT_TABLES = (external_calls, operator_actions, state_changes)
PAGE = 100
"""Settlements in one page, each with its whole audit."""
ROWS = 2_000
"""Rows in one page of a table."""
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


class Step(NamedTuple):
    """Progress of a verification: what was read with the last page, and the faults in it."""

    settlements: int
    rows: int
    until: datetime
    """Everything up to this acceptance time, or time of writing, was read."""
    faults: tuple[Fault, ...]


class Verification:
    """Verifies the audit of one ledger. It only reads, in transactions that on PostgreSQL are read-only.

    Every method may raise `sqlalchemy.exc.SQLAlchemyError` or OSError if the database cannot be reached. A page is read
    in one consistent state, so it can be verified while orders are settled.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._reader = read_only(engine)

    async def start(self) -> datetime | None:
        """Return when the oldest settlement was accepted; None if there is none."""
        query = queries.audit.first_accepted()
        found: datetime | None = await read(self._reader, lambda connection: connection.execute(query).scalar())
        return found

    async def chains(self, start: datetime, before: datetime) -> AsyncIterator[Step]:
        """Verify the settlements that were accepted from `start` until `before`, oldest first."""
        after: tuple[datetime, SettlementId] | None = None
        while True:
            query = queries.audit.accepted(start, before, after, PAGE)
            found, step = await read(self._reader, _verifying(query))
            if not found:
                return
            yield step
            after = (found[-1].accepted_at, found[-1].settlement_id)

    async def settlements_with(self, number: str) -> AsyncIterator[Step]:
        """Verify the settlements with a requestUniqueNo, at most one for each external system."""
        query = queries.settlements.with_number(number, PAGE)
        ids = await read(self._reader, lambda connection: connection.execute(query).scalars().all())
        for each in ids:
            _, step = await read(self._reader, _verifying(queries.settlements.settlement(each)))
            yield step

    async def events(self) -> AsyncIterator[Step]:
        """Verify the security events. They are no chain: a deleted one is found only by an anchor."""
        later = datetime.now(UTC) + timedelta(days=36_500)
        after: tuple[datetime, int] | None = None
        while True:
            query = queries.security_events.written(EARLIEST, later, after, ROWS)
            found = await read(self._reader, _reading(query))
            if not found:
                return
            yield Step(0, len(found), found[-1].at, tuple(_faults_of_events(found)))
            after = (found[-1].at, found[-1].event_id)

    async def orphans(self) -> AsyncIterator[Step]:
        """Find rows of the audit whose settlement is missing. Foreign keys refuse this; their owner can go around."""
        later = datetime.now(UTC) + timedelta(days=36_500)
        for table in AUDIT_TABLES:
            after: tuple[datetime, SettlementId, int] | None = None
            while True:
                found, step = await read(self._reader, _finding_orphans(table, later, after))
                if not found:
                    break
                yield step
                after = (found[-1].recorded_at, found[-1].settlement_id, found[-1].chain_position)


def read_only(engine: AsyncEngine) -> AsyncEngine:
    """Return an engine whose transactions read one consistent state, and on PostgreSQL cannot write."""
    readers = reader(engine)
    return readers.execution_options(postgresql_readonly=True) if engine.dialect.name == "postgresql" else readers


Found = tuple[Sequence[Row[Any]], Step]


def _verifying(query: Select[Any]) -> Callable[[Connection], Found]:
    def statements(connection: Connection) -> Found:
        found = connection.execute(query).all()
        entries: defaultdict[SettlementId, list[Entry]] = defaultdict(list)
        ids = [row.settlement_id for row in found]
        for table in AUDIT_TABLES if ids else ():
            rows = connection.execute(queries.settlements.audit_rows(table), {"settlement_ids": ids}).mappings()
            for row in rows:
                entries[row["settlement_id"]].append((table.name, dict(row)))
        faults = [
            fault
            for row in found
            for fault in faults_of(dict(row._mapping), entries[row.settlement_id])  # noqa: SLF001 - SQLAlchemy's documented name
        ]
        until = found[-1].accepted_at if found else EARLIEST
        return found, Step(len(found), sum(map(len, entries.values())), until, tuple(faults))

    return statements


def _reading(query: Select[Any]) -> Callable[[Connection], Sequence[Row[Any]]]:
    return lambda connection: connection.execute(query).all()


def _faults_of_events(found: Sequence[Row[Any]]) -> Iterator[Fault]:
    for row in found:
        if hash_of_event(dict(row._mapping)) != row.row_hash:  # noqa: SLF001 - SQLAlchemy's documented name
            yield Fault("", "security_events", row.event_id, FaultKind.CHANGED, "the event does not have its hash")


def _finding_orphans(
    table: Table, before: datetime, after: tuple[datetime, SettlementId, int] | None
) -> Callable[[Connection], Found]:
    def statements(connection: Connection) -> Found:
        found = connection.execute(queries.audit.written(table, EARLIEST, before, after, ROWS)).all()
        ids = {row.settlement_id for row in found}
        known = (
            {row.settlement_id for row in connection.execute(queries.settlements.versions(list(ids)))} if ids else {}
        )
        why = "its settlement is missing"
        faults = [
            Fault(str(row.settlement_id), table.name, row.chain_position, FaultKind.DELETED, why)
            for row in found
            if row.settlement_id not in known
        ]
        until = found[-1].recorded_at if found else before
        return found, Step(0, 0, until, tuple(faults))

    return statements
