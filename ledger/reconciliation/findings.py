"""The record of findings and rounds of reconciliation."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, case
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import queries
from ledger.schema import OPEN_FINDING
from ledger.tables import finding_counts, findings, reconciliation_rounds
from ledger.transactions import insert, shielded_transaction
from settlement.finding_actions import ACTIONS
from settlement.ids import SettlementId
from settlement.reconciliation import (
    CLOSED_BY_OPERATOR,
    Finding,
    FindingKind,
    FindingPage,
    FindingStatus,
    ReconciliationRound,
)
from settlement.scope import EVERYTHING, Scope

FINDING_PAGE_MAX = 200
ROUNDS_KEPT = timedelta(days=30)
"""Records of rounds are deleted after this time. Findings are never deleted."""


class Findings:
    """The record of mismatches of the ledger with Temporal or with the broker.

    Errors are as in `ledger.settlements.Ledger`.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @shielded_transaction
    async def report(  # noqa: PLR0913 - the fields of a finding
        self,
        kind: FindingKind,
        settlement_id: SettlementId | None,
        detail: str,
        *,
        round_started_at: datetime,
        amount: str | None = None,
        currency: str | None = None,
    ) -> int | None:
        """Record a mismatch and return the id of its open finding.

        `settlement_id` is None if the mismatch is not about a settlement.

        Returns None, without writing, if an operator has closed the last finding of this kind about this settlement
        with the same detail, because nothing new was found.

        If a finding of this kind about this settlement is already open, it is updated; each round is counted only once.
        A finding has the time of its round, which is on Temporal's clock. With a worker's clock that runs ahead, it
        would not be examined again until that time.
        """
        columns = findings.c
        first = {"kind": kind.value, "settlement_id": settlement_id, "status": FindingStatus.OPEN.value, "repair": ""}
        company_id = queries.reconciliation.company_of(settlement_id).scalar_subquery()
        about = {"company_id": company_id, "amount": amount, "currency": currency}
        now = {**about, "detail": detail, "last_seen_at": round_started_at}
        seen_before = case((columns.last_seen_at < round_started_at, columns.rounds + 1), else_=columns.rounds)
        statement = (
            insert(self._engine, findings)
            .values(**first, **now, found_at=round_started_at, rounds=1, sightings=1)
            .on_conflict_do_update(
                index_elements=[columns.settlement_id, columns.kind],
                index_where=OPEN_FINDING,
                set_={**now, "rounds": seen_before, "sightings": columns.sightings + 1},
            )
            .returning(columns.finding_id, columns.sightings)
        )
        async with self._engine.begin() as connection:
            # The first statement is a write, so that SQLite takes its write lock first.
            seen = (await connection.execute(statement)).one()
            if seen.sightings == 1:
                if await self._operator_closed(connection, kind, settlement_id, detail):
                    await connection.rollback()
                    return None
                await connection.execute(self._increment_total(kind))
        return int(seen.finding_id)

    async def _operator_closed(
        self, connection: AsyncConnection, kind: FindingKind, settlement_id: SettlementId | None, detail: str
    ) -> bool:
        if kind not in CLOSED_BY_OPERATOR:
            return False
        closed = await connection.execute(queries.reconciliation.last_closed_detail(kind, settlement_id))
        return bool(closed.scalar_one_or_none() == detail)

    @shielded_transaction
    async def update_detail(self, finding_id: int, detail: str) -> None:
        """Replace the detail of an open finding, to say why it was not repaired. Repeating it changes nothing."""
        await self._change(finding_id, detail=detail)

    @shielded_transaction
    async def close(self, finding_id: int, status: FindingStatus, repair: str, at: datetime) -> bool:
        """Close an open finding with this status. Return False, without a change, if it is already closed."""
        return await self._change(finding_id, status=status.value, repair=repair, closed_at=at)

    @shielded_transaction
    async def is_open(self, kind: FindingKind, settlement_id: SettlementId) -> bool:
        """Return whether a finding of this kind about a settlement is open."""
        async with self._engine.connect() as connection:
            return (
                await connection.execute(queries.reconciliation.open_finding(kind, settlement_id))
            ).first() is not None

    @shielded_transaction
    async def find(self, finding_id: int, scope: Scope = EVERYTHING) -> Finding | None:
        """Return a finding; None if there is none with this id about a settlement in the scope."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(queries.reconciliation.finding(finding_id, scope))).first()
        return _to_finding(row) if row is not None else None

    @shielded_transaction
    async def open_not_seen_since(self, since: datetime, limit: int, after: int = 0) -> list[Finding]:
        """Return up to `limit` open findings that were last seen before `since` and have an id above `after`.

        Findings of broker statements are left out: a round cannot tell whether the broker has corrected them.
        """
        async with self._engine.connect() as connection:
            found = (await connection.execute(queries.reconciliation.open_not_seen_since(since, after, limit))).all()
        return [_to_finding(row) for row in found]

    @shielded_transaction
    async def page(
        self, *, status: FindingStatus | None, before: int | None, limit: int, scope: Scope = EVERYTHING
    ) -> FindingPage:
        """Return up to `limit` findings (at most `FINDING_PAGE_MAX`) with an id below `before`, newest first.

        With a scope of some companies, these are the findings about their settlements.
        """
        limit = min(limit, FINDING_PAGE_MAX)
        query = queries.reconciliation.finding_page(status, before, limit + 1, scope)
        async with self._engine.connect() as connection:
            found = [_to_finding(row) for row in (await connection.execute(query)).all()]
        shown = tuple(found[:limit])
        return FindingPage(items=shown, next_before=shown[-1].finding_id if len(found) > limit else None)

    @shielded_transaction
    async def count_open(self) -> int:
        """Return the number of open findings."""
        async with self._engine.connect() as connection:
            count: int = (await connection.execute(queries.reconciliation.open_findings())).scalar_one()
        return count

    @shielded_transaction
    async def record_round(self, ended: ReconciliationRound, listed_to: datetime | None = None) -> None:
        """Record a round, and delete rounds older than `ROUNDS_KEPT`. Repeating it changes nothing.

        `listed_to` is the time up to which Temporal's closed workflows have been scanned, if the scan was completed.
        """
        columns = reconciliation_rounds.c
        # Open findings are counted on read.
        values = ended.model_dump(by_alias=False, exclude={"open_findings"}) | {"listed_to": listed_to}
        async with self._engine.begin() as connection:
            await connection.execute(
                insert(self._engine, reconciliation_rounds)
                .values(values)
                .on_conflict_do_nothing(index_elements=[columns.round_id])
            )
            await connection.execute(queries.reconciliation.delete_rounds(ended.ended_at - ROUNDS_KEPT))
            await connection.execute(queries.temporal.delete_counts(ended.ended_at - ROUNDS_KEPT))

    @shielded_transaction
    async def last_round(self) -> ReconciliationRound | None:
        """Return the last round, with the number of findings that are open now; None if there was no round yet."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(queries.reconciliation.last_round())).first()
            count = (await connection.execute(queries.reconciliation.open_findings())).scalar_one()
        return None if row is None else ReconciliationRound.model_validate({**row._mapping, "open_findings": count})  # noqa: SLF001 - SQLAlchemy's documented name

    @shielded_transaction
    async def listed_to(self) -> datetime | None:
        """Return the time up to which Temporal's closed workflows have been scanned; None before the first scan."""
        async with self._engine.connect() as connection:
            found: datetime | None = (await connection.execute(queries.reconciliation.listed_to())).scalar_one_or_none()
            return found

    async def _change(self, finding_id: int, **values: Any) -> bool:  # noqa: ANN401 - columns of different types
        async with self._engine.begin() as connection:
            changed = await connection.execute(queries.reconciliation.change_finding(finding_id, values))
            return changed.first() is not None

    def _increment_total(self, kind: FindingKind) -> Any:  # noqa: ANN401 - as `insert` returns it
        columns = finding_counts.c
        counted = insert(self._engine, finding_counts).values(kind=kind.value, total=1)
        return counted.on_conflict_do_update(index_elements=[columns.kind], set_={"total": columns.total + 1})


def _to_finding(row: Row[Any]) -> Finding:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    action = ACTIONS[FindingKind(values["kind"])]
    about = values.pop("settlement_id")
    named = {"system": about and about.system, "request_unique_no": about and about.number}
    return Finding.model_validate({**values, **named, "action": action})
