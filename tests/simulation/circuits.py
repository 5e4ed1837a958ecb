"""The circuit breakers of one world. Their clock is the server's, which skips time."""

from dataclasses import replace
from datetime import datetime

from temporalio import activity

from activities.call_admission import CallAdmission, CallLimits
from activities.circuit_breaker import BreakerPolicy
from settlement.circuit_breaker import BreakerState
from tests.support.scripted import UNKNOWN

POLICY = BreakerPolicy(unknowns=2, open_s=300, cancels_per_min=4)
"""A few faults of a settlement open its breaker, for longer than the steps in which time is skipped."""


class Circuits:
    """One breaker for each settlement that has one."""

    def __init__(self) -> None:
        self.admission = CallAdmission(self._now)
        self._limits: dict[str, CallLimits] = {}
        self._time_s = 0.0

    def _now(self) -> float:
        if activity.in_activity():
            self._time_s = max(self._time_s, activity.info().started_time.timestamp())
        return self._time_s

    async def prepared(self, name: str, state: BreakerState, now: datetime) -> str:
        """Configure an external system whose breaker is in this state because of other settlements. Return its name."""
        self._time_s = max(self._time_s, now.timestamp())
        if state is not BreakerState.CLOSED:
            self._configure(name, replace(POLICY, open_s=0) if state is BreakerState.HALF_OPEN else POLICY)
            for _ in range(POLICY.unknowns):
                async with self.admission.of(name).call(is_cancel=False) as call:
                    call.ended(UNKNOWN)
        assert self._configure(name, POLICY) is state
        return name

    def _configure(self, name: str, policy: BreakerPolicy) -> BreakerState:
        """Use a policy for the breaker of a system, and return its state before."""
        before = self.admission.breakers().get(name)
        self._limits[name] = CallLimits(breaker=policy)
        self.admission.configure(self._limits)
        return before.state if before is not None else BreakerState.CLOSED
