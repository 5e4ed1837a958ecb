"""Workers that crash at a scripted point, with interceptors of the SDK around the real activities.

A crashed worker reports nothing. `raise_complete_async` has the same effect: Temporal gets no report of this attempt
and counts it as timed out after start-to-close.
"""

from math import inf
from typing import Any, Protocol, cast

from temporalio import activity
from temporalio.worker import (
    ActivityInboundInterceptor,
    ActivityOutboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from activities.cancel_adjust import (
    CancelInProcessError,
    CancelRefusedError,
    IncorrectCancelReplyError,
    SystemNotCallableError,
)
from settlement.calls import CallRecord
from settlement.tasks import AdjustTask, CancelReport, CancelTask
from tests.simulation.auditor import AttemptReport
from tests.simulation.call_scripts import CallScript, Crash

_HEARTBEATS = {Crash.UNHEARD: 0.0, Crash.AFTER_SEND: 1.0}
"""Number of heartbeats that reach Temporal before the crash. The first one precedes the call."""


class FaultDirector(Protocol):
    """Decides the script of each attempt."""

    def begin(self, number: str, report: AttemptReport) -> CallScript:
        """Start the next attempt of an external call of a settlement, and return its script.

        `report` is filled when the attempt reports.
        """

    def withdraw(self, number: str, report: AttemptReport) -> None:
        """Forget an attempt that sent nothing, because its external system is not configured."""

    async def during_call(self, number: str) -> None:
        """Execute the planned actions while the call is in flight."""


class CrashingWorkers(Interceptor):
    """Executes every attempt of an external call by the script of a director."""

    def __init__(self, director: FaultDirector) -> None:
        self._director = director

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's own name
        """Wrap the real activity."""
        return _CrashingActivity(next, self._director)


class _CrashingActivity(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, director: FaultDirector) -> None:
        super().__init__(following)
        self._director = director
        self._heartbeats = _HeartbeatFilter(cast("ActivityOutboundInterceptor", None))

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        self._heartbeats = _HeartbeatFilter(outbound)
        super().init(self._heartbeats)

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002, ANN401 - the SDK's own shape
        task = input.args[0]
        if not isinstance(task, AdjustTask | CancelTask):
            return await super().execute_activity(input)
        order = task.settlement if isinstance(task, CancelTask) else task
        number = order.adjust.requestUniqueNo
        report = _empty_report(task)
        crash = self._director.begin(number, report).crash
        self._heartbeats.heartbeats_left = _HEARTBEATS.get(crash, inf)
        if crash is Crash.BEFORE_SEND:
            activity.raise_complete_async()
        try:
            result = await super().execute_activity(input)
        except (IncorrectCancelReplyError, CancelInProcessError, CancelRefusedError) as error:
            await self._director.during_call(number)
            _crash_or_report(crash, report, error.details[0][-1])
            raise
        except SystemNotCallableError:
            await self._director.during_call(number)
            self._director.withdraw(number, report)
            raise
        await self._director.during_call(number)
        _crash_or_report(crash, report, result.calls[-1] if isinstance(result, CancelReport) else result)
        return result


def _empty_report(task: AdjustTask | CancelTask) -> AttemptReport:
    run = activity.info().workflow_run_id or ""
    return (
        AttemptReport(task.intent.kind, task.round, run=run)
        if isinstance(task, CancelTask)
        else AttemptReport(None, 0, run=run)
    )


def _crash_or_report(crash: Crash, report: AttemptReport, record: CallRecord) -> None:
    if crash is not Crash.NONE:
        activity.raise_complete_async()
    report.record = record


class _HeartbeatFilter(ActivityOutboundInterceptor):
    heartbeats_left = inf

    def heartbeat(self, *details: Any) -> None:  # noqa: ANN401 - the SDK's own shape
        self.heartbeats_left -= 1
        if self.heartbeats_left >= 0:
            super().heartbeat(*details)
