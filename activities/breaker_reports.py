"""Shows the circuit breakers of this worker: in a metric, and in the ledger, where the API reads them.

Neither delays a call: both run in the background and read the state only.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio.common import MetricMeter

from activities.call_admission import CallAdmission
from ledger import BreakerReports
from settlement.circuit_breaker import BREAKER_LEVEL, REPORT_VALID_S

log = structlog.get_logger()

BREAKER_STATE = "settlement_breaker_state"
BREAKER_STATE_HELP = "State of the circuit breaker of an external system: 0 closed, 1 half-open, 2 open."

REPORT_EVERY_S = REPORT_VALID_S / 3
PAUSE_S = 1.0
"""Shortest time between two reports, so that a breaker that changes all the time does not load the ledger."""


class BreakerGauge:
    """The metric with the state of each system's breaker. It is 0 for a system that has none, or has been removed."""

    def __init__(self, admission: CallAdmission, meter: MetricMeter) -> None:
        self._admission = admission
        self._gauge = meter.create_gauge(BREAKER_STATE, BREAKER_STATE_HELP)
        self._shown: set[str] = set()

    def show(self) -> None:
        """Set the metric to the current states."""
        breakers = self._admission.breakers()
        self._shown |= self._admission.configured
        for name in self._shown:
            level = BREAKER_LEVEL[breakers[name].state] if name in breakers else 0
            self._gauge.set(level, {"system": name})


class BreakerReporter:
    """Reports the breakers of this process to the ledger: after each change, and repeatedly as a sign that it runs."""

    def __init__(
        self,
        admission: CallAdmission,
        reports: BreakerReports,
        *,
        every_s: float = REPORT_EVERY_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._admission = admission
        self._reports = reports
        self._every_s = every_s
        self._now = now
        self._worker = uuid4().hex
        self._failing = False
        self._had_breakers = False

    async def run(self) -> None:
        """Report until cancelled. While the ledger is unreachable, the last report expires there."""
        while True:
            self._admission.changed.clear()
            await self.report()
            await asyncio.sleep(min(PAUSE_S, self._every_s))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._admission.changed.wait()

    async def report(self) -> None:
        """Report once. A failure is only logged: nothing depends on the report."""
        breakers = self._admission.breakers()
        if not breakers and not self._had_breakers:
            return
        try:
            await self._reports.replace(self._worker, breakers, self._now())
        except (SQLAlchemyError, OSError) as error:
            if not self._failing:
                log.warning("circuit breakers not reported; will retry", error=type(error).__name__)
            self._failing = True
        else:
            self._failing, self._had_breakers = False, bool(breakers)
