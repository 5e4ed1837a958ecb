"""What workers report of circuit breakers: the newest report of each counts, for a limited time."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from activities.breaker_reports import BreakerReporter
from activities.call_admission import CallAdmission, CallLimits
from activities.circuit_breaker import BreakerPolicy
from ledger import BreakerReports
from settlement.circuit_breaker import REPORT_VALID_S, BreakerReport, BreakerState, BreakerStatus
from settlement.states import Outcome
from tests.ledger.samples import NOON
from tests.support.ledgers import all_connections_free
from tests.support.polling import until

VALID = timedelta(seconds=REPORT_VALID_S)
SECOND = timedelta(seconds=1)
CLOSED = BreakerReport(state=BreakerState.CLOSED, since=NOON - 9 * SECOND)
HALF_OPEN = BreakerReport(state=BreakerState.HALF_OPEN, since=NOON - 8 * SECOND)
OPEN = BreakerReport(state=BreakerState.OPEN, since=NOON - 7 * SECOND)
NONE = BreakerStatus(state=None, since=None, workers=0, workers_half_open=0, workers_open=0)


@pytest.fixture
def reports(engine: AsyncEngine) -> BreakerReports:
    return BreakerReports(engine)


async def test_the_worst_state_counts_with_its_first_time(reports: BreakerReports) -> None:
    later = OPEN.model_copy(update={"since": NOON})
    for worker, report in (("w-1", CLOSED), ("w-2", HALF_OPEN), ("w-3", later), ("w-4", OPEN)):
        await reports.replace(worker, {"alpha": report, "beta": CLOSED}, NOON)
    expected = BreakerStatus(state=BreakerState.OPEN, since=OPEN.since, workers=4, workers_half_open=1, workers_open=2)
    assert await reports.status("alpha", NOON) == expected
    assert set(await reports.statuses(NOON)) == {"alpha", "beta"}
    assert (await reports.statuses(NOON))["alpha"] == expected
    assert (await reports.status("beta", NOON)).state is BreakerState.CLOSED


async def test_a_report_replaces_all_earlier_ones_of_its_worker(reports: BreakerReports) -> None:
    await reports.replace("w-1", {"alpha": OPEN, "beta": OPEN}, NOON)
    await reports.replace("w-1", {"alpha": CLOSED}, NOON + SECOND)
    assert (await reports.status("alpha", NOON)).state is BreakerState.CLOSED
    assert await reports.status("beta", NOON) == NONE
    await reports.replace("w-1", {}, NOON + SECOND)
    assert await reports.statuses(NOON) == {}


async def test_a_report_expires_and_is_deleted_later(reports: BreakerReports) -> None:
    await reports.replace("w-1", {"alpha": OPEN}, NOON)
    assert (await reports.status("alpha", NOON + VALID)).workers == 1
    assert await reports.status("alpha", NOON + VALID + SECOND) == NONE
    await reports.replace("w-2", {"alpha": CLOSED}, NOON + 10 * VALID + SECOND)
    assert (await reports.status("alpha", NOON)).workers == 1


async def test_workers_report_concurrently(reports: BreakerReports) -> None:
    await asyncio.gather(*(reports.replace(f"w-{n}", {"alpha": OPEN}, NOON) for n in range(8)))
    assert (await reports.status("alpha", NOON)).workers_open == 8


class FlakyReports:
    """The real reports, except that the database can be unreachable."""

    def __init__(self, reports: BreakerReports) -> None:
        self._reports = reports
        self.is_away = False
        self.attempts = 0

    async def replace(self, *report: Any) -> None:  # noqa: ANN401 - passed on
        """Write the report, or fail as an unreachable database does."""
        self.attempts += 1
        if self.is_away:
            raise ConnectionRefusedError
        await self._reports.replace(*report)


async def test_a_worker_reports_each_change_and_survives_an_outage_of_the_ledger(
    reports: BreakerReports, engine: AsyncEngine
) -> None:
    admission, flaky = CallAdmission(), FlakyReports(reports)
    admission.configure({"alpha": CallLimits(breaker=BreakerPolicy(unknowns=1, open_s=1000, cancels_per_min=1))})
    reporter = BreakerReporter(admission, cast("BreakerReports", flaky), every_s=0.01, now=lambda: NOON)
    running = asyncio.create_task(reporter.run())

    async def is_reported(state: BreakerState) -> bool:
        return (await reports.status("alpha", NOON)).state is state

    await until(lambda: is_reported(BreakerState.CLOSED), what="the first report")
    flaky.is_away, before = True, flaky.attempts
    breaker = admission.of("alpha").breaker
    assert breaker is not None
    permit = breaker.permit(is_cancel=False)
    assert permit is not None
    with capture_logs() as logs:
        breaker.ended(permit, Outcome.UNKNOWN)

        async def several_have_failed() -> bool:
            return flaky.attempts > before + 3

        await until(several_have_failed, what="several attempts")
    assert [each["event"] for each in logs] == [
        "circuit breaker changed",
        "circuit breakers not reported; will retry",
    ], "an outage is logged once"
    flaky.is_away = False
    await until(lambda: is_reported(BreakerState.OPEN), what="the report after the outage")
    running.cancel()
    await asyncio.wait([running])
    # A report under way continues, and would leave its connection open if the engine was closed first.
    await until(lambda: all_connections_free(engine), what="the end of the last report")


async def test_without_a_breaker_nothing_is_written_and_an_old_report_is_withdrawn(reports: BreakerReports) -> None:
    admission, flaky = CallAdmission(), FlakyReports(reports)
    reporter = BreakerReporter(admission, cast("BreakerReports", flaky), now=lambda: NOON)
    await reporter.report()
    assert flaky.attempts == 0
    admission.configure({"alpha": CallLimits(breaker=BreakerPolicy(unknowns=1, open_s=1, cancels_per_min=1))})
    await reporter.report()
    admission.configure({"alpha": CallLimits()})
    await reporter.report()
    await reporter.report()
    assert (flaky.attempts, await reports.statuses(NOON)) == (2, {})
