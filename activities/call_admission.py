"""Admits the calls to each external system: its circuit breaker, its calls in flight, its calls per second (ADR 0020).

The state belongs to the name of a system, not to its client: it survives a change of address or secrets.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog
from aiolimiter import AsyncLimiter

from activities.circuit_breaker import BreakerPolicy, CircuitBreaker
from settlement.calls import Rule, Verdict
from settlement.circuit_breaker import BreakerReport, BreakerState
from settlement.states import Outcome

log = structlog.get_logger()

KEPT_FOR_CANCELS = 5
"""Of a limit, one part in this many is kept for cancels, and at least 1 of a limit above 1. A system that gets as many
adjusts as it may must not keep the cancels waiting for ever."""


@dataclass(frozen=True)
class CallLimits:
    """The limits of one external system in one worker process; None: no limit."""

    in_flight: int | None = None
    """Maximum calls in flight."""
    per_s: int | None = None
    """Maximum calls per second, and as many at once after a pause."""
    breaker: BreakerPolicy | None = None
    """None: there is no circuit breaker."""


NO_LIMITS = CallLimits()


@dataclass
class AdmittedCall:
    """One call that asked for admission."""

    refusal: Verdict | None
    """Why it must not be sent: a verdict NOT_SENT. None: it may be sent."""
    outcome: Outcome | None = None

    def ended(self, verdict: Verdict) -> Verdict:
        """Report the verdict on the call, and return it."""
        # Without its secret a call was not made; that says nothing about the external system.
        self.outcome = None if verdict.rule is Rule.NOT_CONFIGURED else verdict.outcome
        return verdict


class SystemAdmission:
    """Admits the calls to one external system. It never waits: a waiting call would hold a slot of the worker."""

    def __init__(
        self, name: str, limits: CallLimits, clock: Callable[[], float], on_change: Callable[[], None]
    ) -> None:
        self._name = name
        self._clock = clock
        self._on_change = on_change
        self._limits = NO_LIMITS
        self._bucket: AsyncLimiter | None = None
        self.breaker: CircuitBreaker | None = None
        self.in_flight = 0
        self.use(limits)

    def use(self, limits: CallLimits) -> None:
        """Use these limits from now on. State, and the calls in flight, stay."""
        if limits.per_s != self._limits.per_s:
            self._bucket = AsyncLimiter(limits.per_s, 1) if limits.per_s is not None else None
        if limits.breaker is None:
            self.breaker = None
        elif self.breaker is None:
            self.breaker = CircuitBreaker(limits.breaker, self._clock, self._on_change)
        else:
            self.breaker.policy = limits.breaker
        self._limits = limits

    @asynccontextmanager
    async def call(self, *, is_cancel: bool) -> AsyncIterator[AdmittedCall]:
        """Admit one call for as long as the context is open. If it is refused, nothing may be sent."""
        breaker = self.breaker
        permit = breaker.permit(is_cancel=is_cancel) if breaker is not None else None
        if breaker is not None and permit is None:
            yield AdmittedCall(_not_sent(Rule.BREAKER_OPEN, f"the circuit breaker of {self._name} is not closed"))
            return
        call = AdmittedCall(self._limit_reached(is_cancel=is_cancel))
        if call.refusal is None:
            self.in_flight += 1
            if self._bucket is not None:
                await self._bucket.acquire()  # does not wait: there is capacity, and nothing ran since the check
        try:
            yield call
        except Exception:
            if call.refusal is None:
                call.outcome = Outcome.UNKNOWN
            raise
        finally:
            self.in_flight -= call.refusal is None
            if breaker is not None and permit is not None:
                breaker.ended(permit, call.outcome)

    def _limit_reached(self, *, is_cancel: bool) -> Verdict | None:
        in_flight, per_s = self._limits.in_flight, self._limits.per_s
        if in_flight is not None and self.in_flight + _kept(in_flight, is_cancel=is_cancel) >= in_flight:
            return _not_sent(Rule.IN_FLIGHT_LIMIT, f"{self.in_flight} of at most {in_flight} calls are in flight")
        if per_s is None or self._bucket is None or self._bucket.has_capacity(1 + _kept(per_s, is_cancel=is_cancel)):
            return None
        return _not_sent(Rule.RATE_LIMIT, f"at most {per_s} calls per second")


class CallAdmission:
    """The admission of the calls to every external system, by name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds and must be monotonic; it measures the times of the breakers."""
        self._clock = clock
        self._systems: dict[str, SystemAdmission] = {}
        self.configured: frozenset[str] = frozenset()
        """Names of the systems of the configuration in use."""
        self.changed = asyncio.Event()
        """Set when a breaker has changed its state, or the set of breakers has changed."""

    def configure(self, limits: Mapping[str, CallLimits]) -> None:
        """Use these limits from now on. A system that stays keeps the state of its breaker and its calls in flight."""
        for name, each in limits.items():
            if (known := self._systems.get(name)) is not None:
                known.use(each)
            else:
                self._systems[name] = SystemAdmission(name, each, self._clock, partial(self._on_change, name))
        self.configured = frozenset(limits)
        for name in self._systems.keys() - limits.keys():
            # A system that comes back while calls are in flight must still count them.
            if self._systems[name].in_flight == 0:
                del self._systems[name]
        self.changed.set()

    def of(self, name: str) -> SystemAdmission:
        """Return the admission of one external system. A system that is not configured has no limits."""
        return self._systems.get(name) or SystemAdmission(name, NO_LIMITS, self._clock, self.changed.set)

    def breakers(self) -> dict[str, BreakerReport]:
        """Return the state of every circuit breaker by the name of its system."""
        return {
            name: system.breaker.report()
            for name in sorted(self.configured)
            if (system := self._systems[name]).breaker is not None
        }

    def _on_change(self, name: str) -> None:
        breaker = self._systems[name].breaker
        if breaker is not None:
            state = breaker.report().state
            level = log.info if state is BreakerState.CLOSED else log.warning
            level("circuit breaker changed", system=name, state=state.value)
        self.changed.set()


def _kept(limit: int, *, is_cancel: bool) -> int:
    """Return how much of a limit is kept from this call."""
    return 0 if is_cancel or limit == 1 else max(1, limit // KEPT_FOR_CANCELS)


def _not_sent(rule: Rule, detail: str) -> Verdict:
    return Verdict(outcome=Outcome.NOT_SENT, rule=rule, detail=detail)
