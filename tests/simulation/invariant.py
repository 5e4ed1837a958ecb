"""The promise, stated once: what must hold of each settlement when nothing moves any more.

Pure, and free of transport: the time-skipping simulation and the real stack are held against the same
rules. Each rule has a name; a planted bug is caught by it.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal

from contract.operations import Operation
from settlement.calls import CallRecord
from settlement.ids import CancelKind, cancel_unique_no
from settlement.snapshot import ActionKind
from settlement.states import CancelResult, Decision, Outcome, State, decision_of
from simulator.book_records import AccountView, NumberState
from simulator.call_journal import CallView
from tests.simulation.broken import Broken, Violation
from tests.simulation.evidence import Evidence

REPLY_LIMIT_NS = 3_000_000_000
"""What the contract gives the external system, from our send; its own receipt is never earlier."""


Call = tuple[bool, str | None]
"""Whether it is an adjust, and the number that it carried."""


def violations(evidence: Evidence) -> list[Violation]:
    """Hold one settlement against every rule; an empty list means that the promise was kept."""
    return [Violation(name, evidence.number, detail) for rule, name in _RULES for detail in rule(evidence) if detail]


def sum_violations(every: Iterable[Evidence], accounts: Iterable[AccountView]) -> list[Violation]:
    """Hold the sum of all accounts against what the numbers of these settlements say; they must be all there are."""
    held = sum(
        (Decimal(each.books.amount or "0") * (each.books.times_applied - each.books.times_reversed) for each in every),
        Decimal(0),
    )
    balance = sum((Decimal(account.balance) for account in accounts), Decimal(0))
    if held == balance:
        return []
    return [Violation(Broken.MONEY_DOES_NOT_ADD_UP, "all", f"accounts hold {balance}, settlements say {held}")]


def sends(received: Sequence[CallView]) -> Counter[Call]:
    """Count our sends behind what was received: the network may deliver one twice, stamp and all."""
    distinct = {(_call(each), each.timestamp, each.body) for each in received}
    return Counter(call for call, _, _ in distinct)


def _call(each: CallView | CallRecord) -> Call:
    return each.operation is Operation.ADJUST, each.request_unique_no


def _at_rest(evidence: Evidence) -> Iterator[str]:
    if evidence.story.state in {State.ADJUSTING, State.CANCELLING}:
        yield f"it is {evidence.story.state}"


def _one_story(evidence: Evidence) -> Iterator[str]:
    first, *others = evidence.stories
    for other in others:
        if evidence.stories[other] != evidence.stories[first]:
            yield f"{first} says {evidence.stories[first]}; {other} says {evidence.stories[other]}"


def _settled_is_held(evidence: Evidence) -> Iterator[str]:
    books = evidence.books
    if evidence.story.state is State.SETTLED and (books.times_applied, books.times_reversed) != (1, 0):
        yield f"applied {books.times_applied} times, reversed {books.times_reversed} times"


def _cancelled_is_not_held(evidence: Evidence) -> Iterator[str]:
    books = evidence.books
    if evidence.story.state is not State.CANCELLED:
        return
    if (books.times_applied, books.times_reversed) not in {(0, 0), (1, 1)}:
        yield f"applied {books.times_applied} times, reversed {books.times_reversed} times"


def _expired_was_never_received(evidence: Evidence) -> Iterator[str]:
    if evidence.story.state is State.EXPIRED and (
        evidence.received or evidence.books.state is not NumberState.NEVER_RECEIVED
    ):
        yield f"{len(evidence.received)} requests received, the books say {evidence.books.state}"


_BOOKS_OF_RESULT = {
    CancelResult.REVERSED: {NumberState.REVERSED},
    CancelResult.NOT_APPLIED: {NumberState.NOT_APPLIED},
    # Should the adjust arrive ever after, it finds its number burnt and is refused.
    CancelResult.NEVER_RECEIVED: {NumberState.BURNT, NumberState.NOT_APPLIED},
}


def _result_is_true(evidence: Evidence) -> Iterator[str]:
    result, books = evidence.story.cancel_result, evidence.books
    if evidence.story.state is State.CANCELLED and result is not None:
        burnt = result is not CancelResult.NEVER_RECEIVED or books.burnt
        if books.state not in _BOOKS_OF_RESULT[result] or not burnt:
            yield f"{result}, and the books say {books.state}"
    elif result is not None:
        yield f"{result} in state {evidence.story.state}"


def _correct_reply_ended_it(evidence: Evidence) -> Iterator[str]:
    if evidence.story.state is State.CANCELLED:
        last = evidence.story.calls[-1] if evidence.story.calls else None
        if last is None or last.cancel_result is None or last.cancel_result is not evidence.story.cancel_result:
            yield f"{evidence.story.cancel_result} on {last}"


def _confirmed(evidence: Evidence) -> Iterator[str]:
    story = evidence.story
    if story.state is not State.CANCELLED or not story.calls or evidence.settlement.policy.confirm_after_s == 0:
        return
    certain = story.calls[0].verdict.outcome is Outcome.REJECTED or story.cancel_result is CancelResult.REVERSED
    if not certain and story.calls[-1].kind is not CancelKind.CONFIRMING:
        yield f"{story.cancel_result} after an adjust {story.calls[0].verdict.outcome}"


def _listed(evidence: Evidence) -> Iterator[str]:
    if evidence.listed != {evidence.story.state}:
        yield f"{evidence.story.state}, listed under {sorted(evidence.listed)}"


def _resolved_by_somebody(evidence: Evidence) -> Iterator[str]:
    if evidence.story.state is State.RESOLVED:
        last = evidence.story.actions[-1] if evidence.story.actions else None
        if last is None or last.kind is not ActionKind.RESOLVE or not (last.operator and last.note):
            yield f"the last act is {last}"


def _adjusted_once(evidence: Evidence) -> Iterator[str]:
    received = sum(count for (is_adjust, _), count in sends(evidence.received).items() if is_adjust)
    audited = sum(call.operation is Operation.ADJUST for call in evidence.story.calls)
    if max(received, audited, evidence.books.times_applied) > 1:
        yield f"{received} sends received, {audited} in the audit, applied {evidence.books.times_applied} times"


def _audited(evidence: Evidence) -> Iterator[str]:
    sent = (call for call in evidence.story.calls if call.verdict.outcome is not Outcome.NOT_SENT)
    audited = Counter(_call(call) for call in sent)
    for call, count in sends(evidence.received).items():
        if count > audited[call]:
            yield f"{call[1]}: {count} received, {audited[call]} in the audit"


def _replies_are_real(evidence: Evidence) -> Iterator[str]:
    received = sends(evidence.received)
    answered = {Outcome.APPLIED, Outcome.REJECTED}
    replied = Counter(_call(call) for call in evidence.story.calls if call.verdict.outcome in answered)
    for call, count in replied.items():
        if count > received[call]:
            yield f"{call[1]}: {count} replies in the audit, {received[call]} requests received"


def _spelled(body: str) -> str:
    return json.dumps(json.loads(body), sort_keys=True)


def _number_means_one_body(evidence: Evidence) -> Iterator[str]:
    bodies: dict[Call, set[str]] = {}
    for each in evidence.received:
        bodies.setdefault(_call(each), set()).add(_spelled(each.body))
    for (_, number), different in bodies.items():
        if len(different) > 1:
            yield f"{number} carried {len(different)} bodies"


def _cancels_have_their_numbers(evidence: Evidence) -> Iterator[str]:
    own = {kind: cancel_unique_no(evidence.number, kind) for kind in CancelKind}
    for call in evidence.story.calls:
        if call.kind is not None and call.request_unique_no != own[call.kind]:
            yield f"the audit has a {call.kind} cancel under {call.request_unique_no}"
    for each in evidence.received:
        if each.operation is not Operation.ADJUST and each.request_unique_no not in own.values():
            yield f"a cancel came under {each.request_unique_no}"


def _decision_stands(evidence: Evidence) -> Iterator[str]:
    story = evidence.story
    entered = [decision_of(change.state) for change in story.state_changes]
    given: set[Decision | None] = {*evidence.decisions, *entered, story.decision} - {None}
    if story.decision is not decision_of(story.state) or len(given) > 1:
        yield f"{story.state} with {story.decision}; given were {[*evidence.decisions]}, entered {entered}"


def _in_time(evidence: Evidence) -> Iterator[str]:
    if evidence.story.state is not State.SETTLED:
        return
    adjusts = [each for each in evidence.received if each.operation is Operation.ADJUST]
    waits = [each.ended_at_ns - each.received_at_ns for each in adjusts if each.ended_at_ns is not None]
    if waits and min(waits) > REPLY_LIMIT_NS:
        yield f"the reply left {min(waits) / 1e9:.3f} s after the adjust had come"


_RULES: tuple[tuple[Callable[[Evidence], Iterator[str]], Broken], ...] = (
    (_at_rest, Broken.NOT_AT_REST),
    (_one_story, Broken.STORIES_DIFFER),
    (_settled_is_held, Broken.SETTLED_NOT_HELD),
    (_cancelled_is_not_held, Broken.CANCELLED_BUT_HELD),
    (_expired_was_never_received, Broken.EXPIRED_BUT_RECEIVED),
    (_result_is_true, Broken.CANCEL_RESULT_UNTRUE),
    (_correct_reply_ended_it, Broken.CANCELLED_WITHOUT_CORRECT_REPLY),
    (_confirmed, Broken.NOT_CONFIRMED),
    (_listed, Broken.NOT_LISTED),
    (_resolved_by_somebody, Broken.RESOLVED_BY_NOBODY),
    (_adjusted_once, Broken.ADJUSTED_TWICE),
    (_audited, Broken.UNAUDITED_CALL),
    (_replies_are_real, Broken.INVENTED_REPLY),
    (_number_means_one_body, Broken.NUMBER_REUSED),
    (_cancels_have_their_numbers, Broken.WRONG_CANCEL_NUMBER),
    (_decision_stands, Broken.DECISION_CHANGED),
    (_in_time, Broken.LATE_SUCCESS_COUNTED),
)
