"""How many lost workflows reconciliation may start anew: a limit for each round, and what a person allows beyond it.

A worker on the wrong Temporal, or a Temporal that has lost its data, makes every open settlement look lost. Each
take-up sends a cancel to the broker, so many at once need a person's decision.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import queries
from ledger.tables import take_up_allowances, take_up_counts
from ledger.transactions import insert, shielded_transaction
from settlement.reconciliation import FindingKind, TakeUpAllowance, TakeUpRequest

ALLOWANCE_LASTS = timedelta(hours=1)
"""A decision is about what is seen now; what is left of it must not allow something else later."""


@dataclass(frozen=True)
class Permit:
    """Permission for one take-up. It is counted when it is given."""

    round_started_at: datetime
    allowance_id: int | None
    """The allowance that it counts against; None: the limit of its round."""


class TakeUps:
    """The record of take-ups. Errors are as in `ledger.settlements.Ledger`."""

    def __init__(self, opened: AsyncEngine) -> None:
        self._engine = opened

    @shielded_transaction
    async def permit(self, round_started_at: datetime, per_round: int) -> Permit | None:
        """Count one take-up of a round and return the permit for it; None: it may not be done.

        It may be done while the round has done fewer than `per_round` and no finding TAKE_UP_LIMIT is open; otherwise
        only if a person has allowed it. Of many callers at once no more are permitted than that. A permit whose
        take-up was certainly not started is to be given back.
        """
        async with self._engine.begin() as connection:
            # A write comes first, so that SQLite takes its lock at once.
            counted = (await connection.execute(self._count(round_started_at, per_round))).first() is not None
            if counted:
                limit_reached = queries.reconciliation.open_finding(FindingKind.TAKE_UP_LIMIT, "")
                if (await connection.execute(limit_reached)).first() is None:
                    return Permit(round_started_at, allowance_id=None)
                await connection.execute(queries.temporal.return_to_round(round_started_at))
            allowed = (await connection.execute(queries.temporal.use_allowance(datetime.now(UTC)))).first()
            return Permit(round_started_at, allowed.allowance_id) if allowed is not None else None

    @shielded_transaction
    async def give_back(self, permit: Permit) -> None:
        """Uncount a take-up that was permitted and not started. Call it once for a permit."""
        async with self._engine.begin() as connection:
            await connection.execute(
                queries.temporal.return_to_round(permit.round_started_at)
                if permit.allowance_id is None
                else queries.temporal.return_to_allowance(permit.allowance_id)
            )

    @shielded_transaction
    async def allow(self, order: TakeUpRequest, operator: str, at: datetime) -> TakeUpAllowance:
        """Allow take-ups beyond the limit, for `ALLOWANCE_LASTS`. Repeating it allows as many once more."""
        values = {"operator": operator, "allowed_at": at, "expires_at": at + ALLOWANCE_LASTS, "used": 0}
        statement = insert(self._engine, take_up_allowances).values(**order.model_dump(by_alias=False), **values)
        async with self._engine.begin() as connection:
            row = (await connection.execute(statement.returning(*take_up_allowances.c))).one()
        return TakeUpAllowance.model_validate(dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's documented name

    def _count(self, round_started_at: datetime, per_round: int) -> Any:  # noqa: ANN401 - as `insert` returns it
        by = take_up_counts.c
        counted = insert(self._engine, take_up_counts).values(round_started_at=round_started_at, used=1)
        return counted.on_conflict_do_update(
            index_elements=[by.round_started_at], set_={"used": by.used + 1}, where=by.used < per_round
        ).returning(by.used)
