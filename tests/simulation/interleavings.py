"""All interleavings of calls, messages and faults of one settlement, within bounds, against the real books.

The saga is a model of its decisions; it calls the pure functions of the product. Schedules that reach the same state
are continued together, so each is counted and no state is explored twice.

Bounds: one adjust; at most two copies of a request; attempts and rounds as in `Bounds`; an operator who retries at
most once, resolves, or does nothing; one workflow cancellation, while adjusting.
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
from settlement.policy import ConfirmMode
from settlement.states import CancelResult, Outcome, State, contradicts
from simulator import replies
from simulator.book_records import NumberView
from simulator.replies import Result
from tests.simulation.books_model import ADJUST, ALL_KEPT, SETTLEMENT, BooksModel, Message, Obligation
from tests.simulation.call_scripts import Answer, CallScript, Crash, reply_of
from tests.simulation.invariant import violations
from tests.simulation.model_evidence import audit, evidence_of
from tests.simulation.model_state import CALLING, EXPECTED, SCRIPTS, Bounds, ModelState, SagaPhase
from tests.simulation.plan import Plan
from tests.simulation.violation import ViolationKind
from workflows.compensation import needs_confirming

_read = cache(reply_of)


@cache
def _verdict_of(exchange: Exchange) -> Verdict:
    """Return the verdict of the product on an exchange."""
    return classify(exchange, "t")


@dataclass
class ExplorationResult:
    """The result of an exploration."""

    schedules: int = 0
    states: int = 0
    ends: int = 0
    runs_of_the_books: int = 0
    violating: int = 0
    """Number of schedules that violate the invariant."""
    examples: dict[ViolationKind, str] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    """End states that differ from the expectation for the broken obligations."""

    def in_words(self) -> str:
        """Return the summary in one line."""
        return (
            f"{self.schedules:,} schedules through {self.states:,} states to {self.ends:,} ends, "
            f"{self.runs_of_the_books} transitions of the real books: {self.violating:,} violate the invariant"
        )


class Count(NamedTuple):
    """Number of schedules from one state on."""

    all: int
    violating: int


class Exploration:
    """Explores all schedules with one external system."""

    def __init__(
        self,
        *,
        bounds: Bounds = Bounds(),  # noqa: B008 - frozen
        kept: frozenset[Obligation] = ALL_KEPT,
        refuses: bool = False,
        confirm: ConfirmMode = ConfirmMode.AFTER_NOT_FOUND,
    ) -> None:
        self._bounds, self._kept = bounds, kept
        self._books_model = BooksModel(kept, refuses=refuses)
        policy = SETTLEMENT.policy.model_copy(update={"cancel_max_attempts": bounds.attempts, "confirm": confirm})
        self._settlement = SETTLEMENT.model_copy(update={"policy": policy})
        self._known: dict[ModelState, Count] = {}
        self.explored = ExplorationResult()

    def run(self) -> ExplorationResult:
        """Explore all schedules and return the result."""
        counted = self._count(ModelState())
        self.close()
        self.explored.schedules, self.explored.violating = counted
        self.explored.states = len(self._known)
        self.explored.runs_of_the_books = self._books_model.runs
        return self.explored

    def close(self) -> None:
        """Close the books. `run` also does this."""
        self._books_model.close()

    def end_of(self, plan: Plan) -> ModelState:
        """Return the end state of one plan without its actions. An ABORTED settlement stays ABORTED."""
        at = ModelState()
        under_way: list[tuple[float, Message]] = []
        for attempt in itertools.count():
            due = sorted(each for each in under_way if each[0] < attempt or at.phase not in CALLING)
            under_way = [each for each in under_way if each not in due]
            for _, message in due:
                at, _ = self._arrive(at, message)
            if at.phase not in CALLING:
                return at
            script = plan.script(attempt)
            message = ADJUST if at.phase is SagaPhase.ADJUST else at.kind
            at = self._adjust(at, script, stopped=False) if message == ADJUST else self._cancel(at, script)
            under_way += [(attempt + after, message) for after in script.arrives if after > 0]
            at = at._replace(under_way=())
        raise AssertionError

    def books(self, at: ModelState) -> NumberView:
        """Return the books in a state."""
        return self._books_model.view(at.held)

    def successors(self, at: ModelState) -> Iterator[ModelState]:
        """Yield all possible next states."""
        for message in dict.fromkeys(at.under_way):
            under_way = list(at.under_way)
            under_way.remove(message)
            yield self._arrive(at._replace(under_way=tuple(under_way)), message)[0]
        match at.phase:
            case SagaPhase.ADJUST:
                for script, stopped in itertools.product(SCRIPTS, (False, True)):
                    yield self._adjust(at, script, stopped=stopped)
            case SagaPhase.CANCEL:
                for script in SCRIPTS:
                    yield self._cancel(at, script)
            case SagaPhase.ABORTED:
                yield at._replace(phase=SagaPhase.REST)
                yield at.enter(State.RESOLVED, SagaPhase.REST)
                if at.round + 1 < self._bounds.rounds:
                    again = at.enter(State.CANCELLING, SagaPhase.CANCEL)
                    yield again._replace(round=at.round + 1, attempt=1, heard=())

    def _count(self, at: ModelState) -> Count:
        if at in self._known:
            return self._known[at]
        following = Counter(self.successors(at))
        if following:
            counts = [(self._count(each), times) for each, times in following.items()]
            counted = Count(sum(each.all * n for each, n in counts), sum(each.violating * n for each, n in counts))
        else:
            counted = Count(1, int(self._check(at)))
        self._known[at] = counted
        return counted

    def _arrive(self, at: ModelState, message: Message) -> tuple[ModelState, Result]:
        held, result = self._books_model.receive(at.held, message)
        arrivals = at.arrivals if self._kept == ALL_KEPT else at.arrivals.and_then(message)
        return at._replace(held=held, arrivals=arrivals), result

    def _send(self, at: ModelState, message: Message, script: CallScript) -> tuple[ModelState, Verdict | None]:
        """Send one request; return the verdict, or None if the worker crashes."""
        if script.crash is Crash.BEFORE_SEND:
            return at, None
        later = [message for after in script.arrives if after > 0]
        at = at._replace(under_way=tuple(sorted([*at.under_way, *later])))
        if script.arrives:
            at = at._replace(sent=tuple(sorted([*at.sent, message])))
        exchange: Exchange = NoReply(deadline_passed=True, detail="")
        if script.answer is Answer.NOT_SENT:
            exchange = NotSent("")
        elif script.at_once:
            result = replies.FAILED
            if script.answer is not Answer.WRONG_CODE:
                at, result = self._arrive(at, message)
            if script.answer not in {Answer.LOST, Answer.LATE}:
                exchange = _read(result, script.answer)
        return at, None if script.crash is not Crash.NONE else _verdict_of(exchange)

    def _adjust(self, at: ModelState, script: CallScript, *, stopped: bool) -> ModelState:
        at, verdict = self._send(at, ADJUST, script)
        outcome = verdict.outcome if verdict else Outcome.UNKNOWN
        at = at._replace(adjust=outcome)
        match outcome:
            case Outcome.NOT_SENT:
                return at.enter(State.EXPIRED, SagaPhase.REST)
            case Outcome.APPLIED if not stopped:
                return at.enter(State.SETTLED, SagaPhase.REST)
            case _:
                return at.enter(State.CANCELLING, SagaPhase.CANCEL)

    def _cancel(self, at: ModelState, script: CallScript) -> ModelState:
        at, verdict = self._send(at, at.kind, script)
        if script.crash is not Crash.UNHEARD and script.crash is not Crash.BEFORE_SEND:
            at = at._replace(heard=(*at.heard, at.attempt))
        result = cancel_result(verdict) if verdict else None
        if result is not None:
            return self._answered(self._end_round(at), result)
        if at.attempt < self._bounds.attempts:
            heard = tuple(call.attempt for call in audit(at.heard, at.kind, at.attempt))
            return at._replace(attempt=at.attempt + 1, heard=heard)
        return self._end_round(at).enter(State.ABORTED, SagaPhase.ABORTED)

    def _answered(self, at: ModelState, result: CancelResult) -> ModelState:
        assert at.adjust is not None
        if at.kind is CancelKind.FIRST and needs_confirming(self._settlement.policy, at.adjust, result):
            first = result if self._settlement.policy.confirm is ConfirmMode.ALWAYS else None
            return at._replace(kind=CancelKind.CONFIRMING, attempt=1, heard=(), first=first)
        if at.first is not None and contradicts(at.first, result):
            return at.enter(State.ABORTED, SagaPhase.ABORTED)
        return at._replace(result=result).enter(State.CANCELLED, SagaPhase.REST)

    def _end_round(self, at: ModelState) -> ModelState:
        records = len(audit(at.heard, at.kind, at.attempt))
        return at._replace(audited=(*at.audited, (at.kind, records)), heard=(), attempt=1)

    def _check(self, at: ModelState) -> bool:
        self.explored.ends += 1
        found = violations(evidence_of(at, self._settlement, self.books(at)))
        for violation in found:
            self.explored.examples.setdefault(violation.name, f"{violation}; {at}")
        if bool(found) is not self._is_expected(at):
            self.explored.unexpected.append(f"{found or 'no violation'}; {at}")
        return bool(found)

    def _is_expected(self, at: ModelState) -> bool:
        """Return whether a broken obligation must lead to a violation. Otherwise there must be none."""
        return any(EXPECTED[broken](at) for broken in ALL_KEPT - self._kept)
