"""Every order of what may befall one settlement's calls, within bounds, against the real books.

The saga's own part is a model of its decisions; whatever of it is a pure function of the product is called,
not copied. Schedules that lead to the same state go on together, so that all of them are counted and none
is scanned twice.

Bounds: one adjust; two copies of a request at most; as many attempts and rounds as `Bounds` says; an operator
who retries once at most, resolves, or does nothing; one workflow cancellation, while adjusting.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from connector.classify import cancel_result, classify
from connector.exchange import Exchange, NoReply, NotSent
from settlement.calls import Verdict
from settlement.ids import CancelKind
from settlement.states import Outcome, State
from simulator import replies
from simulator.book_records import NumberView
from simulator.replies import Result
from tests.simulation.broken import Broken
from tests.simulation.call_outcomes import Answer, Crash, Fate
from tests.simulation.invariant import violations
from tests.simulation.machine import ADJUST, ALL_KEPT, SETTLEMENT, Machine, Message, Obligation
from tests.simulation.model_evidence import audit, evidence_of
from tests.simulation.network import reply_of
from tests.simulation.plan import Plan
from tests.simulation.schedule import CALLING, FATES, FORETOLD, At, Bounds, Phase
from workflows.compensation import needs_confirming

_read = cache(reply_of)


@cache
def _told(exchange: Exchange) -> Verdict:
    """Return what the product's own rules make of an exchange."""
    return classify(exchange, "t")


@dataclass
class Explored:
    """What an exploration came to."""

    schedules: int = 0
    states: int = 0
    ends: int = 0
    runs_of_the_books: int = 0
    violating: int = 0
    """Schedules that break the invariant."""
    examples: dict[Broken, str] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    """Ends that are not as the broken obligations foretell."""

    def in_words(self) -> str:
        """Sum it up in one line."""
        return (
            f"{self.schedules:,} schedules through {self.states:,} states to {self.ends:,} ends, "
            f"{self.runs_of_the_books} transitions of the real books: {self.violating:,} violate the invariant"
        )


class Count(NamedTuple):
    """Schedules from one state on."""

    all: int
    violating: int


class Exploration:
    """Walks through all schedules at one external system."""

    def __init__(
        self,
        *,
        bounds: Bounds = Bounds(),  # noqa: B008 - frozen
        kept: frozenset[Obligation] = ALL_KEPT,
        refuses: bool = False,
        confirms: bool = True,
    ) -> None:
        self._bounds, self._kept = bounds, kept
        self._machine = Machine(kept, refuses=refuses)
        policy = SETTLEMENT.policy.model_copy(
            update={"cancel_max_attempts": bounds.attempts, "confirm_after_s": 30 if confirms else 0}
        )
        self._settlement = SETTLEMENT.model_copy(update={"policy": policy})
        self._known: dict[At, Count] = {}
        self.explored = Explored()

    def run(self) -> Explored:
        """Walk through all schedules and return what was found."""
        counted = self._count(At())
        self.close()
        self.explored.schedules, self.explored.violating = counted
        self.explored.states = len(self._known)
        self.explored.runs_of_the_books = self._machine.runs
        return self.explored

    def close(self) -> None:
        """Close the books; `run` does it by itself."""
        self._machine.close()

    def walk(self, plan: Plan) -> At:
        """Return the end to which one plan leads; its acts play no part, and nobody acts when it is ABORTED."""
        at = At()
        under_way: list[tuple[float, Message]] = []
        for attempt in itertools.count():
            due = sorted(each for each in under_way if each[0] < attempt or at.phase not in CALLING)
            under_way = [each for each in under_way if each not in due]
            for _, message in due:
                at, _ = self._arrive(at, message)
            if at.phase not in CALLING:
                return at
            fate = plan.fate(attempt)
            message = ADJUST if at.phase is Phase.ADJUST else at.kind
            at = self._adjust(at, fate, stopped=False) if message == ADJUST else self._cancel(at, fate)
            under_way += [(attempt + after, message) for after in fate.arrives if after > 0]
            at = at._replace(under_way=())
        raise AssertionError

    def books(self, at: At) -> NumberView:
        """Return what the books show in a state."""
        return self._machine.view(at.held)

    def follow(self, at: At) -> Iterator[At]:
        """Yield what may come next."""
        for message in dict.fromkeys(at.under_way):
            under_way = list(at.under_way)
            under_way.remove(message)
            yield self._arrive(at._replace(under_way=tuple(under_way)), message)[0]
        match at.phase:
            case Phase.ADJUST:
                for fate, stopped in itertools.product(FATES, (False, True)):
                    yield self._adjust(at, fate, stopped=stopped)
            case Phase.CANCEL:
                for fate in FATES:
                    yield self._cancel(at, fate)
            case Phase.ABORTED:
                yield at._replace(phase=Phase.REST)
                yield at.enter(State.RESOLVED, Phase.REST)
                if at.round + 1 < self._bounds.rounds:
                    again = at.enter(State.CANCELLING, Phase.CANCEL)
                    yield again._replace(round=at.round + 1, attempt=1, heard=())

    def _count(self, at: At) -> Count:
        if at in self._known:
            return self._known[at]
        following = Counter(self.follow(at))
        if following:
            counts = [(self._count(each), times) for each, times in following.items()]
            counted = Count(sum(each.all * n for each, n in counts), sum(each.violating * n for each, n in counts))
        else:
            counted = Count(1, int(self._judge(at)))
        self._known[at] = counted
        return counted

    def _arrive(self, at: At, message: Message) -> tuple[At, Result]:
        held, result = self._machine.receive(at.held, message)
        arrivals = at.arrivals if self._kept == ALL_KEPT else at.arrivals.and_then(message)
        return at._replace(held=held, arrivals=arrivals), result

    def _send(self, at: At, message: Message, fate: Fate) -> tuple[At, Verdict | None]:
        """Send one request; return what our side is told, None where its worker dies."""
        if fate.crash is Crash.BEFORE_SEND:
            return at, None
        later = [message for after in fate.arrives if after > 0]
        at = at._replace(under_way=tuple(sorted([*at.under_way, *later])))
        if fate.arrives:
            at = at._replace(sent=tuple(sorted([*at.sent, message])))
        exchange: Exchange = NoReply(deadline_passed=True, detail="")
        if fate.answer is Answer.NOT_SENT:
            exchange = NotSent("")
        elif fate.at_once:
            result = replies.FAILED
            if fate.answer is not Answer.WRONG_CODE:
                at, result = self._arrive(at, message)
            if fate.answer not in {Answer.LOST, Answer.LATE}:
                exchange = _read(result, fate.answer)
        return at, None if fate.crash is not Crash.NONE else _told(exchange)

    def _adjust(self, at: At, fate: Fate, *, stopped: bool) -> At:
        at, verdict = self._send(at, ADJUST, fate)
        outcome = verdict.outcome if verdict else Outcome.UNKNOWN
        at = at._replace(adjust=outcome)
        match outcome:
            case Outcome.NOT_SENT:
                return at.enter(State.EXPIRED, Phase.REST)
            case Outcome.APPLIED if not stopped:
                return at.enter(State.SETTLED, Phase.REST)
            case _:
                return at.enter(State.CANCELLING, Phase.CANCEL)

    def _cancel(self, at: At, fate: Fate) -> At:
        at, verdict = self._send(at, at.kind, fate)
        if fate.crash is not Crash.UNHEARD and fate.crash is not Crash.BEFORE_SEND:
            at = at._replace(heard=(*at.heard, at.attempt))
        result = cancel_result(verdict) if verdict else None
        if result is not None:
            at = self._end_round(at)
            assert at.adjust is not None
            again = needs_confirming(self._settlement.policy, at.adjust, result)
            if at.kind is CancelKind.FIRST and again:
                return at._replace(kind=CancelKind.CONFIRMING, attempt=1, heard=())
            return at._replace(result=result).enter(State.CANCELLED, Phase.REST)
        if at.attempt < self._bounds.attempts:
            heard = tuple(call.attempt for call in audit(at.heard, at.kind, at.attempt))
            return at._replace(attempt=at.attempt + 1, heard=heard)
        return self._end_round(at).enter(State.ABORTED, Phase.ABORTED)

    def _end_round(self, at: At) -> At:
        records = len(audit(at.heard, at.kind, at.attempt))
        return at._replace(audited=(*at.audited, (at.kind, records)), heard=(), attempt=1)

    def _judge(self, at: At) -> bool:
        self.explored.ends += 1
        found = violations(evidence_of(at, self._settlement, self.books(at)))
        for violation in found:
            self.explored.examples.setdefault(violation.name, f"{violation}; {at}")
        if bool(found) is not self._foretold(at):
            self.explored.unexpected.append(f"{found or 'nothing found'}; {at}")
        return bool(found)

    def _foretold(self, at: At) -> bool:
        """Tell whether a broken obligation must lead to a broken promise: then, and only then."""
        return any(FORETOLD[broken](at) for broken in ALL_KEPT - self._kept)
