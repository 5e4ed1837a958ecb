"""The record of settlements. Each method is one transaction and reads one consistent state of the database.

Every writing transaction begins with a write, so that SQLite takes its write lock first and waits for it. If it began
with a read, it would fail immediately whenever another transaction wrote in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from contract.same_request import Identity, adjust_identity, differences
from ledger import queries
from ledger.conflicts import NumberConflictError, NumberReusedError
from ledger.engine import reader
from ledger.events import Events, read_events, read_versions
from ledger.exposure import read_exposure
from ledger.filters import NO_FILTER, SettlementFilter
from ledger.gauges import Gauges, read_gauges
from ledger.records import SettlementRecord, read_conflicting, read_record, with_audit
from ledger.settlement_writes import accepting, recording, recording_since
from ledger.transactions import read, shielded_transaction, write
from settlement.exposure import Exposure, ExposureBy
from settlement.ids import SettlementId
from settlement.order_limits import OrderLimit
from settlement.scope import EVERYTHING, Scope
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.tasks import RecordResult

PAGE_LIMIT_MAX = 200
SAME_NUMBER_MAX = 20
"""Maximum settlements with one number that are named to a caller. There can be one for each external system."""


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
        self._current = reader(engine)
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

        A new order must be within the limits, which must be sorted by name, and its external system must not be paused.
        An order that exists is never counted twice, and never refused by a limit or a pause.

        Raises:
            SystemPausedError: the order is new and an operator has paused its external system. Nothing is written.
            AmountLimitError: the order is new and above a limit. Nothing is written.
            NumberReusedError: the number belongs to another order (`contract.same_request` lists the compared fields).
                Nothing is written.
        """
        if await write(self._engine, accepting(settlement, snapshot, limits)):
            return SettlementRecord(settlement, snapshot), True
        accepted = await read(self._current, lambda connection: read_conflicting(connection, settlement))
        if accepted is None:
            message = f"{settlement.settlement_id} is missing after a conflict on its number; rows are never deleted"
            raise RuntimeError(message)
        if different := differences(_identity(accepted.settlement), _identity(settlement)):
            raise NumberReusedError(accepted, different)
        return accepted, False

    @shielded_transaction
    async def record(self, settlement: SettlementInput, snapshot: Snapshot) -> bool:
        """Write a snapshot if it replaces the recorded one; return whether it was written.

        A higher version does, and the same version in the same state. Repeating it, or writing an older snapshot,
        changes nothing. A missing row (restored backup) is inserted.

        Raises:
            DecisionConflictError: the ledger has the opposite decision. Nothing is written.
            NumberConflictError: the order has another settlement, at another external system. Nothing is written.
        """
        try:
            return await write(self._engine, recording(settlement, snapshot))
        except IntegrityError:
            known = await self._find_of_company(settlement.adjust.requestUniqueNo, settlement.company_id)
            if known is None:
                raise
            if known.settlement_id != settlement.settlement_id:
                raise NumberConflictError(settlement.settlement_id, known.settlement_id) from None
        # The same settlement was accepted meanwhile. ON CONFLICT covers the primary key only, and PostgreSQL may notice
        # a concurrent insert by the key of number and company first.
        return await write(self._engine, recording(settlement, snapshot))

    @shielded_transaction
    async def record_since(self, settlement_id: SettlementId, since_version: int, snapshot: Snapshot) -> RecordResult:
        """Write a snapshot that contains only the audit entries since the recorded version `since_version`.

        Repeating it, or writing an older snapshot, changes nothing. Returns LEDGER_BEHIND, without writing, if the row
        is missing or older than `since_version` (after a restored backup).

        Raises:
            DecisionConflictError: the ledger has the opposite decision. Nothing is written.
        """
        return await write(self._engine, recording_since(settlement_id, since_version, snapshot))

    @shielded_transaction
    async def find(self, settlement_id: SettlementId, scope: Scope = EVERYTHING) -> SettlementRecord | None:
        """Return a settlement; None if it was never accepted, or not for a company of the scope."""
        query = queries.settlements.settlement(settlement_id, scope)
        return await read(self._reader, lambda connection: read_record(connection, query))

    @shielded_transaction
    async def with_number(self, number: str, scope: Scope = EVERYTHING) -> list[SettlementId]:
        """Return the settlements in the scope with a number, in order of system: at most `SAME_NUMBER_MAX`."""
        query = queries.settlements.with_number(number, SAME_NUMBER_MAX, scope)
        return await read(self._reader, lambda connection: sorted(connection.execute(query).scalars()))

    @shielded_transaction
    async def find_of_company(self, number: str, company_id: int | None) -> SettlementRecord | None:
        """Return the settlement with a number of a company, whatever its external system; None if there is none."""
        return await self._find_of_company(number, company_id)

    async def _find_of_company(self, number: str, company_id: int | None) -> SettlementRecord | None:
        query = queries.settlements.of_company(number, company_id)
        return await read(self._reader, lambda connection: read_record(connection, query))

    @shielded_transaction
    async def page(
        self, where: SettlementFilter = NO_FILTER, *, after: tuple[datetime, SettlementId] | None = None, limit: int
    ) -> Page:
        """Return up to `limit` settlements (at most `PAGE_LIMIT_MAX`), newest first, after the cursor `after`."""
        limit = min(limit, PAGE_LIMIT_MAX)
        if not where.by_company():
            return Page((), None)
        query = queries.settlements.page(where, after, limit + 1)

        def statements(connection: Connection) -> tuple[Sequence[Row[Any]], list[SettlementRecord]]:
            found = connection.execute(query).all()
            return found, with_audit(connection, found[:limit])

        found, listed = await read(self._reader, statements)
        more = len(found) > limit
        last = found[limit - 1] if more else None
        return Page(tuple(listed), (last.accepted_at, last.settlement_id) if last else None)

    @shielded_transaction
    async def events(self, settlement_id: SettlementId, after: int, scope: Scope = EVERYTHING) -> Events | None:
        """Return the events with an id above `after` (-1 for all); None if `find` would return None."""
        return await read(self._reader, lambda connection: read_events(connection, settlement_id, after, scope))

    @shielded_transaction
    async def versions(self, settlement_ids: Sequence[SettlementId]) -> dict[SettlementId, int]:
        """Return the versions of at most `ledger.events.VERSIONS_MAX` settlements; they grow with every change."""
        return await read(self._reader, lambda connection: read_versions(connection, settlement_ids))

    @shielded_transaction
    async def exposure(self, as_of: datetime, by: ExposureBy = ExposureBy.AGE, scope: Scope = EVERYTHING) -> Exposure:
        """Return the money in doubt of the scope's companies, with lines by age at `as_of`, or by cause."""
        return await read(self._reader, lambda connection: read_exposure(connection, as_of, by, scope))

    @shielded_transaction
    async def gauges(self) -> Gauges:
        """Return the counts and times that alerts need, consistent with each other."""
        return await read(self._reader, read_gauges)

    @shielded_transaction
    async def check(self) -> None:
        """Raise an error unless the database answers and has the ledger's tables. Uses the same engine as `accept`."""
        query = queries.settlements.check()
        await read(self._engine, lambda connection: connection.execute(query).all())


def _identity(settlement: SettlementInput) -> Identity:
    return adjust_identity(settlement.adjust, settlement.company_id)
