"""The record of take-ups: limits how many lost workflows reconciliation restarts, and what an operator allows beyond.

If Temporal has lost its data, or a worker is connected to the wrong Temporal, every open settlement looks lost. Each
take-up sends a cancel to the broker, so many at once need an operator's decision.
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
"""Time after which an allowance expires: it is meant for the current incident, not for a later one."""


@dataclass(frozen=True)
class Permit:
    """Permission for one take-up. It is counted when it is given."""

    round_started_at: datetime
    allowance_id: int | None
    """The allowance that it counts against; None if it counts against the limit of its round."""


class TakeUps:
    """The record of take-ups. Errors are as in `ledger.settlements.Ledger`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @shielded_transaction
    async def permit(self, round_started_at: datetime, per_round: int) -> Permit | None:
        """Count one take-up of a round and return the permit for it; None if it is not permitted.

        It is permitted while the round has fewer than `per_round` take-ups and no finding TAKE_UP_LIMIT is open;
        otherwise only if an operator's allowance is left. Concurrent calls cannot exceed these limits. The caller must
        give back a permit if its workflow was certainly not started.
        """
        async with self._engine.begin() as connection:
            # The first statement is a write, so that SQLite takes its write lock first.
            counted = (await connection.execute(self._count(round_started_at, per_round))).first() is not None
            if counted:
                limit_reached = queries.reconciliation.open_finding(FindingKind.TAKE_UP_LIMIT, None)
                if (await connection.execute(limit_reached)).first() is None:
                    return Permit(round_started_at, allowance_id=None)
                await connection.execute(queries.temporal.return_to_round(round_started_at))
            allowed = (await connection.execute(queries.temporal.use_allowance(datetime.now(UTC)))).first()
            return Permit(round_started_at, allowed.allowance_id) if allowed is not None else None

    @shielded_transaction
    async def give_back(self, permit: Permit) -> None:
        """Give back the permit of a take-up that was not started. Must be called at most once per permit."""
        async with self._engine.begin() as connection:
            await connection.execute(
                queries.temporal.return_to_round(permit.round_started_at)
                if permit.allowance_id is None
                else queries.temporal.return_to_allowance(permit.allowance_id)
            )

    @shielded_transaction
    async def allow(
        self, request: TakeUpRequest, operator: str, at: datetime, *, key_id: str | None = None
    ) -> TakeUpAllowance:
        """Allow `count` take-ups beyond the limit, for `ALLOWANCE_LASTS`. Repeating it allows `count` more."""
        values = {
            "operator": operator,
            "key_id": key_id,
            "allowed_at": at,
            "expires_at": at + ALLOWANCE_LASTS,
            "used": 0,
        }
        statement = insert(self._engine, take_up_allowances).values(**request.model_dump(by_alias=False), **values)
        async with self._engine.begin() as connection:
            row = (await connection.execute(statement.returning(*take_up_allowances.c))).one()
        return TakeUpAllowance.model_validate(dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's documented name

    def _count(self, round_started_at: datetime, per_round: int) -> Any:  # noqa: ANN401 - as `insert` returns it
        columns = take_up_counts.c
        counted = insert(self._engine, take_up_counts).values(round_started_at=round_started_at, used=1)
        return counted.on_conflict_do_update(
            index_elements=[columns.round_started_at],
            set_={"used": columns.used + 1},
            where=columns.used < per_round,
        ).returning(columns.used)
