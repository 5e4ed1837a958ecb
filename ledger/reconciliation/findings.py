"""The record of findings and rounds of reconciliation."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, case
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import queries
from ledger.schema import OPEN_FINDING
from ledger.tables import finding_counts, findings, reconciliation_rounds
from ledger.transactions import insert, shielded_transaction
from settlement.reconciliation import (
    CLOSED_BY_OPERATOR,
    Finding,
    FindingKind,
    FindingPage,
    FindingStatus,
    ReconciliationRound,
)

FINDING_PAGE_MAX = 200
ROUNDS_KEPT = timedelta(days=30)
"""One a minute; the findings themselves are kept for good."""


class Findings:
    """The record of what did not fit between ledger and Temporal. Errors are as in `ledger.settlements.Ledger`."""

    def __init__(self, opened: AsyncEngine) -> None:
        self._engine = opened

    @shielded_transaction
    async def see(
        self, kind: FindingKind, number: str | None, detail: str, *, round_started_at: datetime
    ) -> int | None:
        """Write down that something does not fit; return the open finding's id. No number: it is about no settlement.

        None: an operator has closed the last finding of this kind about this settlement, and its detail was the same.
        So nothing new was found, and nothing is written.

        Seen again while it is open, it is the same finding; its rounds are counted, each once however often it
        is seen in one round. It is dated by its round, on Temporal's clock: one that a worker dated ahead of the
        true time would be looked at again only when that has come.
        """
        by = findings.c
        first = {"kind": kind.value, "settlement_no": number or "", "status": FindingStatus.OPEN.value, "repair": ""}
        now = {"detail": detail, "last_seen_at": round_started_at}
        seen_before = case((by.last_seen_at < round_started_at, by.rounds + 1), else_=by.rounds)
        statement = (
            insert(self._engine, findings)
            .values(**first, **now, found_at=round_started_at, rounds=1, sightings=1)
            .on_conflict_do_update(
                index_elements=[by.settlement_no, by.kind],
                index_where=OPEN_FINDING,
                set_={**now, "rounds": seen_before, "sightings": by.sightings + 1},
            )
            .returning(by.finding_id, by.sightings)
        )
        async with self._engine.begin() as connection:
            # A write comes first, so that SQLite takes its lock at once.
            seen = (await connection.execute(statement)).one()
            if seen.sightings == 1:
                if await self._operator_closed(connection, kind, number or "", detail):
                    await connection.rollback()
                    return None
                await connection.execute(self._count_one_more(kind))
        return int(seen.finding_id)

    async def _operator_closed(self, connection: AsyncConnection, kind: FindingKind, number: str, detail: str) -> bool:
        if kind not in CLOSED_BY_OPERATOR:
            return False
        closed = await connection.execute(queries.reconciliation.last_closed_detail(kind, number))
        return bool(closed.scalar_one_or_none() == detail)

    @shielded_transaction
    async def explain(self, finding_id: int, detail: str) -> None:
        """Say of an open finding why it could not be put right. Repeating it changes nothing."""
        await self._change(finding_id, detail=detail)

    @shielded_transaction
    async def close(self, finding_id: int, status: FindingStatus, repair: str, at: datetime) -> bool:
        """Close an open finding as repaired or cleared; False: it is closed already, and stays as it is."""
        return await self._change(finding_id, status=status.value, repair=repair, closed_at=at)

    @shielded_transaction
    async def is_open(self, kind: FindingKind, number: str) -> bool:
        """Tell whether a finding of this kind about a settlement is open."""
        async with self._engine.connect() as connection:
            return (await connection.execute(queries.reconciliation.open_finding(kind, number))).first() is not None

    @shielded_transaction
    async def find(self, finding_id: int) -> Finding | None:
        """Return a finding; None: there is none with this id."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(queries.reconciliation.finding(finding_id))).first()
        return _to_finding(row) if row is not None else None

    @shielded_transaction
    async def open_unseen(self, since: datetime, limit: int, after: int = 0) -> list[Finding]:
        """Return open findings that were not seen since, by id, from behind `after`."""
        async with self._engine.connect() as connection:
            found = (await connection.execute(queries.reconciliation.open_unseen(since, after, limit))).all()
        return [_to_finding(row) for row in found]

    @shielded_transaction
    async def page(self, *, status: FindingStatus | None, before: int | None, limit: int) -> FindingPage:
        """Return up to `limit` findings (at most `FINDING_PAGE_MAX`), newest first, from before an id."""
        limit = min(limit, FINDING_PAGE_MAX)
        query = queries.reconciliation.finding_page(status, before, limit + 1)
        async with self._engine.connect() as connection:
            found = [_to_finding(row) for row in (await connection.execute(query)).all()]
        shown = tuple(found[:limit])
        return FindingPage(items=shown, next_before=shown[-1].finding_id if len(found) > limit else None)

    @shielded_transaction
    async def count_open(self) -> int:
        """Count the findings that a person must look at."""
        async with self._engine.connect() as connection:
            count: int = (await connection.execute(queries.reconciliation.open_findings())).scalar_one()
        return count

    @shielded_transaction
    async def record_round(self, ended: ReconciliationRound, listed_to: datetime | None = None) -> None:
        """Write down a round, and forget those that ended too long ago. Repeating it changes nothing.

        `listed_to`: up to when Temporal's list of closed workflows has been gone through, if it has.
        """
        by = reconciliation_rounds.c
        # How many are open is counted when it is asked for.
        values = ended.model_dump(by_alias=False, exclude={"open_findings"}) | {"listed_to": listed_to}
        async with self._engine.begin() as connection:
            await connection.execute(
                insert(self._engine, reconciliation_rounds)
                .values(values)
                .on_conflict_do_nothing(index_elements=[by.round_id])
            )
            await connection.execute(queries.reconciliation.forget_rounds(ended.ended_at - ROUNDS_KEPT))
            await connection.execute(queries.temporal.forget_counts(ended.ended_at - ROUNDS_KEPT))

    @shielded_transaction
    async def last_round(self) -> ReconciliationRound | None:
        """Return the round that ended last, with the findings that are open now; None: there was none yet."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(queries.reconciliation.last_round())).first()
            count = (await connection.execute(queries.reconciliation.open_findings())).scalar_one()
        return None if row is None else ReconciliationRound.model_validate({**row._mapping, "open_findings": count})  # noqa: SLF001 - SQLAlchemy's documented name

    @shielded_transaction
    async def listed_to(self) -> datetime | None:
        """Return up to when Temporal's list has been gone through, as far as this database remembers; None: never."""
        async with self._engine.connect() as connection:
            found: datetime | None = (await connection.execute(queries.reconciliation.listed_to())).scalar_one_or_none()
            return found

    async def _change(self, finding_id: int, **values: Any) -> bool:  # noqa: ANN401 - columns, each of its own type
        async with self._engine.begin() as connection:
            changed = await connection.execute(queries.reconciliation.change_finding(finding_id, values))
            return changed.first() is not None

    def _count_one_more(self, kind: FindingKind) -> Any:  # noqa: ANN401 - as `insert` returns it
        by = finding_counts.c
        counted = insert(self._engine, finding_counts).values(kind=kind.value, total=1)
        return counted.on_conflict_do_update(index_elements=[by.kind], set_={"total": by.total + 1})


def _to_finding(row: Row[Any]) -> Finding:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    return Finding.model_validate({**values, "request_unique_no": values["settlement_no"] or None})
