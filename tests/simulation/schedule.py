"""One state of everything in the model of the interleavings, and all that can befall a call in it."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

from settlement.ids import CancelKind
from settlement.states import TRANSITIONS, CancelResult, Outcome, State
from tests.simulation.call_outcomes import AT_ONCE, NEVER, Answer, Crash, Fate
from tests.simulation.machine import ADJUST, NOTHING, Message, Obligation

LATER = (0.5,)
COPIED = (0.0, 0.5)
COPIED_LATER = (0.5, 0.5)
"""How copies arrive; when exactly, every order tells."""


class Bounds(NamedTuple):
    """How far it goes."""

    attempts: int = 3
    """Attempts of one round of one cancel."""
    rounds: int = 2
    """Rounds of all cancels together: automation's own, and the operator's."""


class Phase(StrEnum):
    """What the saga does next."""

    ADJUST = "ADJUST"
    CANCEL = "CANCEL"
    ABORTED = "ABORTED"
    REST = "REST"


CALLING = {Phase.ADJUST, Phase.CANCEL}


class Arrivals(NamedTuple):
    """In which order things arrived; kept only where an obligation is broken, to foretell what follows."""

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


class At(NamedTuple):
    """One state of everything: saga, network, books, audit."""

    phase: Phase = Phase.ADJUST
    path: tuple[State, ...] = (State.ADJUSTING,)
    """The states entered; the last one holds."""
    adjust: Outcome | None = None
    kind: CancelKind = CancelKind.FIRST
    round: int = 0
    attempt: int = 1
    heard: tuple[int, ...] = ()
    """Attempts of this round that Temporal has heard of."""
    audited: tuple[tuple[CancelKind, int], ...] = ()
    """Records of the rounds that ended."""
    sent: tuple[Message, ...] = ()
    """Sends of which at least one copy arrives, sooner or later."""
    result: CancelResult | None = None
    under_way: tuple[Message, ...] = ()
    held: int = NOTHING
    arrivals: Arrivals = Arrivals()

    @property
    def state(self) -> State:
        """The settlement's state."""
        return self.path[-1]

    def enter(self, state: State, phase: Phase) -> "At":
        """Go to another state, as far as the product's own table allows."""
        assert state in TRANSITIONS[self.state], (self.state, state)
        return self._replace(path=(*self.path, state), phase=phase)


def fates() -> Iterator[Fate]:
    """Return everything that can befall one call."""
    yield Fate(NEVER, Answer.NOT_SENT)
    yield Fate(NEVER, crash=Crash.BEFORE_SEND)
    in_time: tuple[tuple[float, ...], ...] = (AT_ONCE, COPIED)
    too_late: tuple[tuple[float, ...], ...] = (NEVER, LATER, COPIED_LATER)
    for arrives in in_time:
        for answer in (Answer.GOOD, Answer.LOST, Answer.WRONG_CODE, Answer.HTTP_500, Answer.CONTRADICTORY):
            yield Fate(arrives, answer)
        for crash in (Crash.AFTER_SEND, Crash.UNHEARD, Crash.AFTER_REPLY):
            yield Fate(arrives, crash=crash)
    for arrives in too_late:
        for crash in (Crash.NONE, Crash.AFTER_SEND, Crash.UNHEARD):
            yield Fate(arrives, Answer.LOST, crash)


FATES = tuple(fates())


def _applied_in_time(at: At) -> bool:
    return at.arrivals.adjusts > 0 and not at.arrivals.before


FORETOLD: dict[Obligation, Callable[[At], bool]] = {
    # It arrives after the last look at it.
    Obligation.BURN_NUMBERS: lambda at: (
        at.state is State.CANCELLED and at.arrivals.adjusts > 0 and at.arrivals.before == at.arrivals.cancels
    ),
    Obligation.ADJUST_ONCE: lambda at: _applied_in_time(at) and at.arrivals.adjusts > 1,
    Obligation.REVERSE_ONCE: lambda at: at.state is State.CANCELLED and _applied_in_time(at) and at.arrivals.after > 1,
    Obligation.TELL_THE_TRUTH: lambda at: at.state is State.CANCELLED and _applied_in_time(at),
}
"""What an external system that breaks one obligation makes of a schedule, from the order of arrivals alone."""
