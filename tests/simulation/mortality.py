"""Workers that die at a chosen moment, through the SDK's own interceptors: what runs inside is the real activity.

A worker that dies reports nothing. `raise_complete_async` is just that: Temporal hears nothing more of this
attempt and, after start-to-close, calls the worker lost.
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

from activities.cancel_adjust import IncorrectCancelReplyError
from settlement.calls import CallRecord
from settlement.start import SettlementInput
from settlement.tasks import CancelReport, CancelTask
from tests.simulation.auditor import Report
from tests.simulation.call_outcomes import Crash, Fate

_HEARTBEATS = {Crash.UNHEARD: 0.0, Crash.AFTER_SEND: 1.0}
"""How many heartbeats get through before the worker dies; the first one precedes the call."""


class Director(Protocol):
    """Who knows what befalls each attempt."""

    def begin(self, number: str, told: Report) -> Fate:
        """Begin the next attempt of a settlement's external call and return what befalls it.

        `told` is what our side is told of it, once it is told anything.
        """

    async def during_call(self, number: str) -> None:
        """Do what is to be done while the call is in flight."""


class MortalWorkers(Interceptor):
    """Lets a director decide over every attempt at an external call."""

    def __init__(self, director: Director) -> None:
        self._director = director

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's own name
        """Put ourselves before the real activity."""
        return _Mortal(next, self._director)


class _Mortal(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, director: Director) -> None:
        super().__init__(following)
        self._director = director
        self._mute = _Mute(cast("ActivityOutboundInterceptor", None))

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        self._mute = _Mute(outbound)
        super().init(self._mute)

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002, ANN401 - the SDK's own shape
        task = input.args[0]
        if not isinstance(task, SettlementInput | CancelTask):
            return await super().execute_activity(input)
        settlement = task.settlement if isinstance(task, CancelTask) else task
        number = settlement.adjust.requestUniqueNo
        told = _nothing_yet(task)
        crash = self._director.begin(number, told).crash
        self._mute.heartbeats_left = _HEARTBEATS.get(crash, inf)
        if crash is Crash.BEFORE_SEND:
            activity.raise_complete_async()
        try:
            result = await super().execute_activity(input)
        except IncorrectCancelReplyError as error:
            await self._director.during_call(number)
            _live_or_die(crash, told, error.details[0][-1])
            raise
        await self._director.during_call(number)
        _live_or_die(crash, told, result.calls[-1] if isinstance(result, CancelReport) else result)
        return result


def _nothing_yet(task: SettlementInput | CancelTask) -> Report:
    run = activity.info().workflow_run_id or ""
    return Report(task.intent.kind, task.round, run=run) if isinstance(task, CancelTask) else Report(None, 0, run=run)


def _live_or_die(crash: Crash, told: Report, record: CallRecord) -> None:
    if crash is not Crash.NONE:
        activity.raise_complete_async()
    told.record = record


class _Mute(ActivityOutboundInterceptor):
    heartbeats_left = inf

    def heartbeat(self, *details: Any) -> None:  # noqa: ANN401 - the SDK's own shape
        self.heartbeats_left -= 1
        if self.heartbeats_left >= 0:
            super().heartbeat(*details)
