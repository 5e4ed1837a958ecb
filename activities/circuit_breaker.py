"""The circuit breaker of one external system in one worker process (ADR 0020).

Pure apart from the clock: the caller asks before each call and reports each outcome.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from settlement.circuit_breaker import BreakerReport, BreakerState
from settlement.states import Outcome


@dataclass(frozen=True)
class BreakerPolicy:
    """When a breaker opens, and what it lets through while it is open."""

    unknowns: int
    """Consecutive UNKNOWN outcomes that open it."""
    open_s: float
    """Seconds from its opening until the first probe."""
    cancels_per_min: int
    """Cancels per minute that are sent while it is not closed."""


class _Kind(Enum):
    ORDINARY = "sent by a closed breaker"
    PROBE = "decides a half-open breaker"
    SPARSE = "a cancel beside the probe, or while the breaker is open"


@dataclass(frozen=True)
class Permit:
    """The permission for one call. `CircuitBreaker.ended` must get it back."""

    kind: _Kind
    entered: int
    """How often the breaker had changed its state before."""


class CircuitBreaker:
    """Opens after consecutive UNKNOWN outcomes, and closes when one probe gets a correct reply.

    A correct reply is APPLIED or REJECTED, to an adjust or a cancel: the external system works. NOT_SENT says nothing
    about it and is not counted, except that a probe without a connection opens the breaker again. While the breaker is
    open, a cancel with a correct reply makes it half-open before its time. The outcome of a call that began before the
    current state is ignored: of many calls in flight the last ones still time out after the breaker has opened.
    """

    def __init__(self, policy: BreakerPolicy, clock: Callable[[], float], on_change: Callable[[], None]) -> None:
        """Start closed. `clock` returns seconds and must be monotonic. `on_change` is called after each change."""
        self.policy = policy
        """May be replaced at any time; the state stays."""
        self._clock = clock
        self._on_change = on_change
        self._state = BreakerState.CLOSED
        self._since = datetime.now(UTC)
        self._entered = 0
        self._entered_at = self._cancel_sent_at = clock()
        self._unknowns = 0
        self._probing = False

    def report(self) -> BreakerReport:
        """Return the current state, and since when. An open breaker becomes half-open when its time has passed."""
        if self._state is BreakerState.OPEN and self._clock() - self._entered_at >= self.policy.open_s:
            self._enter(BreakerState.HALF_OPEN)
        return BreakerReport(state=self._state, since=self._since)

    def permit(self, *, is_cancel: bool) -> Permit | None:
        """Return the permit for one call; None if it must not be sent now."""
        state = self.report().state
        if state is BreakerState.CLOSED:
            return Permit(_Kind.ORDINARY, self._entered)
        if state is BreakerState.HALF_OPEN and not self._probing:
            self._probing = True
            return Permit(_Kind.PROBE, self._entered)
        if is_cancel and self._clock() - self._cancel_sent_at >= 60 / self.policy.cancels_per_min:
            self._cancel_sent_at = self._clock()
            return Permit(_Kind.SPARSE, self._entered)
        return None

    def ended(self, permit: Permit, outcome: Outcome | None) -> None:
        """Take the outcome of a call into account; None if the call was not made after all."""
        if permit.entered != self._entered:
            return
        is_answered = outcome in {Outcome.APPLIED, Outcome.REJECTED}
        match permit.kind:
            case _Kind.PROBE if outcome is None:
                self._probing = False
            case _Kind.PROBE:
                self._enter(BreakerState.CLOSED if is_answered else BreakerState.OPEN)
            case _Kind.SPARSE if is_answered and self._state is BreakerState.OPEN:
                self._enter(BreakerState.HALF_OPEN)
            case _Kind.ORDINARY if is_answered:
                self._unknowns = 0
            case _Kind.ORDINARY if outcome is Outcome.UNKNOWN:
                self._unknowns += 1
                if self._unknowns >= self.policy.unknowns:
                    self._enter(BreakerState.OPEN)

    def _enter(self, state: BreakerState) -> None:
        self._state, self._since = state, datetime.now(UTC)
        self._entered += 1
        self._entered_at = self._clock()
        if state is BreakerState.OPEN:
            self._cancel_sent_at = self._entered_at
        self._unknowns, self._probing = 0, False
        self._on_change()
