"""The record of circuit breakers: what each worker process last reported. Only people read it."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import queries
from ledger.external_system_tables import breaker_reports
from ledger.transactions import insert, shielded_transaction
from settlement.circuit_breaker import REPORT_VALID_S, BreakerReport, BreakerState, BreakerStatus

_VALID = timedelta(seconds=REPORT_VALID_S)
_KEPT = 10 * _VALID


class BreakerReports:
    """The reports of all workers. Errors are as in `ledger.settlements.Ledger`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @shielded_transaction
    async def replace(self, worker: str, reports: Mapping[str, BreakerReport], at: datetime) -> None:
        """Replace all reports of one worker by these, by system. Also deletes those of workers that have ended."""
        rows = [
            {"system": system, "worker": worker, "state": each.state.value, "since": each.since, "reported_at": at}
            for system, each in reports.items()
        ]
        async with self._engine.begin() as connection:
            await connection.execute(queries.breaker_reports.obsolete(worker, at - _KEPT))
            if rows:
                await connection.execute(insert(self._engine, breaker_reports), rows)

    @shielded_transaction
    async def statuses(self, now: datetime) -> dict[str, BreakerStatus]:
        """Return the status of each system that has a valid report, by name."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(queries.breaker_reports.reports(now - _VALID))).all()
        by_system: defaultdict[str, list[BreakerReport]] = defaultdict(list)
        for row in rows:
            by_system[row.system].append(_report(row))
        return {system: BreakerStatus.of(reports) for system, reports in by_system.items()}

    @shielded_transaction
    async def status(self, system: str, now: datetime) -> BreakerStatus:
        """Return the status of one system."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(queries.breaker_reports.reports_of(system, now - _VALID))).all()
        return BreakerStatus.of(map(_report, rows))


def _report(row: Row[Any]) -> BreakerReport:
    return BreakerReport(state=BreakerState(row.state), since=row.since)
