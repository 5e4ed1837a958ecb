"""What an alert must see of the whole ledger, at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Float, Select, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from contract.reconciliation import FindingStatus
from contract.states import END_STATES, State
from ledger.tables import findings, reconciliation_rounds, settlements


@dataclass(frozen=True)
class Gauges:
    """Counts and moments. What is not there counts as nothing: only the keys that were found are here."""

    open_by_state: Mapping[str, int]
    """Settlements that have not ended."""
    oldest_cancelling_at: datetime | None
    """When the oldest settlement that is CANCELLING was accepted; None: there is none."""
    in_doubt: int
    """Settlements of which the external system may hold the amount although the order is void."""
    in_doubt_amounts: Mapping[str, float]
    """Sum of their amounts by currency, without their signs. A float: for a gauge, never for the books."""
    open_findings: Mapping[str, int]
    """Findings of reconciliation that a person must look at, by kind."""
    findings: Mapping[str, int]
    """All findings that ever were, by kind: it only grows."""
    last_round_at: datetime | None
    """When the last round of reconciliation ended; None: there was none."""


async def read_gauges(connection: AsyncConnection) -> Gauges:
    """Read all of them. In a transaction that sees one moment they fit each other."""
    doubts = (await connection.execute(_in_doubt())).all()
    return Gauges(
        open_by_state=await _counts(connection, _open_by_state()),
        oldest_cancelling_at=await connection.scalar(_oldest_cancelling()),
        in_doubt=sum(row.count_ for row in doubts),
        in_doubt_amounts={row.currency: row.amount for row in doubts},
        open_findings=await _counts(connection, _findings().where(findings.c.status == FindingStatus.OPEN.value)),
        findings=await _counts(connection, _findings()),
        last_round_at=await connection.scalar(select(func.max(reconciliation_rounds.c.ended_at))),
    )


async def _counts(connection: AsyncConnection, query: Select[Any]) -> dict[str, int]:
    return {key: count for key, count in (await connection.execute(query)).all()}  # noqa: C416 - a Row is no pair


def _open_by_state() -> Select[Any]:
    by = settlements.c
    ended = [state.value for state in END_STATES]
    return select(by.state, func.count()).where(by.state.not_in(ended)).group_by(by.state)


def _oldest_cancelling() -> Select[Any]:
    by = settlements.c
    return select(func.min(by.accepted_at)).where(by.state == State.CANCELLING.value)


def _in_doubt() -> Select[Any]:
    by = settlements.c
    amount = func.sum(func.abs(cast(by.amount, Float))).label("amount")
    return select(by.currency, func.count().label("count_"), amount).where(by.in_doubt).group_by(by.currency)


def _findings() -> Select[Any]:
    return select(findings.c.kind, func.count()).group_by(findings.c.kind)
