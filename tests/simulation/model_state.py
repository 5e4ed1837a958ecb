"""The state of the interleavings model, and all scripts of a call in it."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

from settlement.ids import CancelKind
from settlement.states import TRANSITIONS, CancelResult, Outcome, State
from tests.simulation.books_model import ADJUST, NOTHING, Message, Obligation
from tests.simulation.call_scripts import AT_ONCE, NEVER, Answer, CallScript, Crash

LATER = (0.5,)
COPIED = (0.0, 0.5)
COPIED_LATER = (0.5, 0.5)
"""Arrival of two copies. The exploration covers every order of arrivals."""


class Bounds(NamedTuple):
    """The bounds of the exploration."""

    attempts: int = 3
    """Attempts of one round of one cancel."""
    rounds: int = 2
    """Rounds of all cancels together: automatic ones and those of operators."""


class SagaPhase(StrEnum):
    """What the saga does next."""

    ADJUST = "ADJUST"
    CANCEL = "CANCEL"
    ABORTED = "ABORTED"
    REST = "REST"


CALLING = {SagaPhase.ADJUST, SagaPhase.CANCEL}


class Arrivals(NamedTuple):
    """The order of arrivals. Kept only if an obligation is broken, to compute the expected violation."""

    adjusts: int = 0
    """Copies of the adjust, up to 2."""
    cancels: frozenset[Message] = frozenset()
    """Which cancels have arrived."""
    before: frozenset[Message] = frozenset()
    """Which of them before the adjust."""
    after: int = 0
    """Copies of cancels after the adjust, up to 2."""

    def and_then(self, message: Message) -> "Arrivals":
        """Return the order with one more arrival."""
        if message != ADJUST:
            after = min(2, self.after + 1) if self.adjusts else 0
            return self._replace(cancels=self.cancels | {message}, after=after)
        before = self.before if self.adjusts else self.cancels
        return self._replace(adjusts=min(2, self.adjusts + 1), before=before)


class ModelState(NamedTuple):
    """The state of saga, network, books and audit."""

    phase: SagaPhase = SagaPhase.ADJUST
    path: tuple[State, ...] = (State.ADJUSTING,)
    """The states entered so far; the last one is the current state."""
    adjust: Outcome | None = None
    kind: CancelKind = CancelKind.FIRST
    round: int = 0
    attempt: int = 1
    heard: tuple[int, ...] = ()
    """Attempts of this round that were reported to Temporal."""
    audited: tuple[tuple[CancelKind, int], ...] = ()
    """Number of audit records of each completed round."""
    sent: tuple[Message, ...] = ()
    """Sends of which at least one copy arrives."""
    result: CancelResult | None = None
    first: CancelResult | None = None
    """The result of the first cancel, if the confirming one may contradict it."""
    under_way: tuple[Message, ...] = ()
    held: int = NOTHING
    arrivals: Arrivals = Arrivals()

    @property
    def state(self) -> State:
        """The settlement's state."""
        return self.path[-1]

    def enter(self, state: State, phase: SagaPhase) -> "ModelState":
        """Enter another state. The transition must be in the table of the product."""
        assert state in TRANSITIONS[self.state], (self.state, state)
        return self._replace(path=(*self.path, state), phase=phase)


def call_scripts() -> Iterator[CallScript]:
    """Yield every script of one call."""
    yield CallScript(NEVER, Answer.NOT_SENT)
    yield CallScript(NEVER, crash=Crash.BEFORE_SEND)
    in_time: tuple[tuple[float, ...], ...] = (AT_ONCE, COPIED)
    too_late: tuple[tuple[float, ...], ...] = (NEVER, LATER, COPIED_LATER)
    for arrives in in_time:
        for answer in (Answer.GOOD, Answer.LOST, Answer.WRONG_CODE, Answer.HTTP_500, Answer.CONTRADICTORY):
            yield CallScript(arrives, answer)
        for crash in (Crash.AFTER_SEND, Crash.UNHEARD, Crash.AFTER_REPLY):
            yield CallScript(arrives, crash=crash)
    for arrives in too_late:
        for crash in (Crash.NONE, Crash.AFTER_SEND, Crash.UNHEARD):
            yield CallScript(arrives, Answer.LOST, crash)


SCRIPTS = tuple(call_scripts())


def _applied_in_time(at: ModelState) -> bool:
    return at.arrivals.adjusts > 0 and not at.arrivals.before


EXPECTED: dict[Obligation, Callable[[ModelState], bool]] = {
    # The adjust arrives after the last cancel.
    Obligation.BURN_NUMBERS: lambda at: (
        at.state is State.CANCELLED and at.arrivals.adjusts > 0 and at.arrivals.before == at.arrivals.cancels
    ),
    Obligation.ADJUST_ONCE: lambda at: _applied_in_time(at) and at.arrivals.adjusts > 1,
    Obligation.REVERSE_ONCE: lambda at: at.state is State.CANCELLED and _applied_in_time(at) and at.arrivals.after > 1,
    Obligation.TELL_THE_TRUTH: lambda at: at.state is State.CANCELLED and _applied_in_time(at),
}
"""Whether a schedule violates the invariant if the external system breaks one obligation, by the order of arrivals."""
