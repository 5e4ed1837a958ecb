"""The invariant: the rules that every settlement must satisfy after all work has ended.

Pure functions without I/O: the simulation and the real stack are checked with the same rules. Each rule has a name,
by which the tests detect planted bugs.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal

from contract.operations import Operation
from settlement.calls import CallRecord
from settlement.ids import CancelKind, cancel_unique_no
from settlement.policy import ConfirmMode
from settlement.snapshot import BEGINS_A_ROUND, ActionKind
from settlement.states import CancelResult, Decision, Outcome, State, decision_of
from simulator.book_records import AccountView, NumberState
from simulator.call_journal import CallView
from tests.simulation.evidence import Evidence
from tests.simulation.violation import Violation, ViolationKind

REPLY_LIMIT_NS = 3_000_000_000
"""The limit of the contract, from our send. The external system never receives a request earlier."""


Call = tuple[bool, str | None]
"""Whether it is an adjust, and its number."""


def violations(evidence: Evidence) -> list[Violation]:
    """Check one settlement with every rule. Return the violations; empty if there are none."""
    return [Violation(name, evidence.number, detail) for rule, name in _RULES for detail in rule(evidence) if detail]


def sum_violations(every: Iterable[Evidence], accounts: Iterable[AccountView]) -> list[Violation]:
    """Compare the sum of all accounts with the sum over these settlements, which must be complete."""
    held = sum(
        (Decimal(each.books.amount or "0") * (each.books.times_applied - each.books.times_reversed) for each in every),
        Decimal(0),
    )
    balance = sum((Decimal(account.balance) for account in accounts), Decimal(0))
    if held == balance:
        return []
    return [Violation(ViolationKind.MONEY_DOES_NOT_ADD_UP, "all", f"accounts hold {balance}, settlements say {held}")]


def sends(received: Sequence[CallView]) -> Counter[Call]:
    """Count our sends among the received requests: copies made by the network have the same timestamp."""
    distinct = {(_call(each), each.timestamp, each.body) for each in received}
    return Counter(call for call, _, _ in distinct)


def _call(each: CallView | CallRecord) -> Call:
    return each.operation is Operation.ADJUST, each.request_unique_no


def _at_rest(evidence: Evidence) -> Iterator[str]:
    if evidence.view.state in {State.ADJUSTING, State.CANCELLING}:
        yield f"it is {evidence.view.state}"


def _views_agree(evidence: Evidence) -> Iterator[str]:
    first, *others = evidence.views
    for other in others:
        if evidence.views[other] != evidence.views[first]:
            yield f"{first} has {evidence.views[first]}; {other} has {evidence.views[other]}"


def _settled_is_applied(evidence: Evidence) -> Iterator[str]:
    books = evidence.books
    if evidence.view.state is State.SETTLED and (books.times_applied, books.times_reversed) != (1, 0):
        yield f"applied {books.times_applied} times, reversed {books.times_reversed} times"


def _cancelled_is_reversed(evidence: Evidence) -> Iterator[str]:
    books = evidence.books
    if evidence.view.state is not State.CANCELLED:
        return
    if (books.times_applied, books.times_reversed) not in {(0, 0), (1, 1)}:
        yield f"applied {books.times_applied} times, reversed {books.times_reversed} times"


def _expired_was_never_received(evidence: Evidence) -> Iterator[str]:
    if evidence.view.state is State.EXPIRED and (
        evidence.received or evidence.books.state is not NumberState.NEVER_RECEIVED
    ):
        yield f"{len(evidence.received)} requests received, the books have {evidence.books.state}"


_BOOKS_OF_RESULT = {
    CancelResult.REVERSED: {NumberState.REVERSED},
    CancelResult.NOT_APPLIED: {NumberState.NOT_APPLIED},
    # If the adjust arrives later, its number is burnt and it is rejected.
    CancelResult.NEVER_RECEIVED: {NumberState.BURNT, NumberState.NOT_APPLIED},
}


def _result_is_true(evidence: Evidence) -> Iterator[str]:
    result, books = evidence.view.cancel_result, evidence.books
    if evidence.view.state is State.CANCELLED and result is not None:
        burnt = result is not CancelResult.NEVER_RECEIVED or books.burnt
        if books.state not in _BOOKS_OF_RESULT[result] or not burnt:
            yield f"{result}, and the books have {books.state}"
    elif result is not None:
        yield f"{result} in state {evidence.view.state}"


def _correct_reply_ended_it(evidence: Evidence) -> Iterator[str]:
    if evidence.view.state is State.CANCELLED:
        last = evidence.view.calls[-1] if evidence.view.calls else None
        if last is None or last.cancel_result is None or last.cancel_result is not evidence.view.cancel_result:
            yield f"{evidence.view.cancel_result} on {last}"


def _confirmed(evidence: Evidence) -> Iterator[str]:
    view = evidence.view
    confirm = evidence.settlement.policy.confirm
    if view.state is not State.CANCELLED or not view.calls or confirm is ConfirmMode.NEVER:
        return
    certain = view.calls[0].verdict.outcome is Outcome.REJECTED or view.cancel_result is CancelResult.REVERSED
    needed = confirm is ConfirmMode.ALWAYS or not certain
    if needed and view.calls[-1].kind is not CancelKind.CONFIRMING:
        yield f"{view.cancel_result} after an adjust {view.calls[0].verdict.outcome}"


def _contradiction_is_aborted(evidence: Evidence) -> Iterator[str]:
    first = {call.cancel_result for call in evidence.view.calls if call.kind is CancelKind.FIRST}
    result = evidence.view.cancel_result
    if (
        evidence.view.state is State.CANCELLED
        and CancelResult.REVERSED in first
        and result is not CancelResult.REVERSED
    ):
        yield f"{result} after REVERSED"


def _listed(evidence: Evidence) -> Iterator[str]:
    if evidence.listed != {evidence.view.state}:
        yield f"{evidence.view.state}, listed under {sorted(evidence.listed)}"


def _resolved_by_an_operator(evidence: Evidence) -> Iterator[str]:
    if evidence.view.state is State.RESOLVED:
        # A workflow that is ended from outside after the operator resolved it is taken up once more to write its end.
        last = next((each for each in reversed(evidence.view.actions) if each.kind is not ActionKind.TAKE_UP), None)
        resolves = {ActionKind.RESOLVE, ActionKind.APPROVE_RESOLUTION}
        if last is None or last.kind not in resolves or not (last.operator and last.note):
            yield f"the last action before any take-up is {last}"


def _resolved_by_two_operators(evidence: Evidence) -> Iterator[str]:
    if evidence.view.state is not State.RESOLVED or not evidence.settlement.needs_second_operator:
        return
    actions = evidence.view.actions
    approval = next((each for each in reversed(actions) if each.kind is ActionKind.APPROVE_RESOLUTION), None)
    number = None if approval is None else approval.proposal_no
    proposal = None if number is None else next(iter(actions[number : number + 1]), None)
    if approval is None or proposal is None:
        yield f"no approval of a proposal; approval: {approval}"
    elif proposal.kind is not ActionKind.PROPOSE_RESOLUTION or proposal.operator == approval.operator:
        yield f"{approval} approves {proposal}"
    elif any(each.kind in BEGINS_A_ROUND - {ActionKind.TAKE_UP} for each in actions[number:]):
        yield f"a retry had cleared {proposal}"


def _adjusted_once(evidence: Evidence) -> Iterator[str]:
    received = sum(count for (is_adjust, _), count in sends(evidence.received).items() if is_adjust)
    audited = sum(call.operation is Operation.ADJUST for call in evidence.view.calls)
    if max(received, audited, evidence.books.times_applied) > 1:
        yield f"{received} sends received, {audited} in the audit, applied {evidence.books.times_applied} times"


def _audited(evidence: Evidence) -> Iterator[str]:
    sent = (call for call in evidence.view.calls if call.verdict.outcome is not Outcome.NOT_SENT)
    audited = Counter(_call(call) for call in sent)
    for call, count in sends(evidence.received).items():
        if count > audited[call]:
            yield f"{call[1]}: {count} received, {audited[call]} in the audit"


def _replies_are_real(evidence: Evidence) -> Iterator[str]:
    received = sends(evidence.received)
    answered = {Outcome.APPLIED, Outcome.REJECTED}
    replied = Counter(_call(call) for call in evidence.view.calls if call.verdict.outcome in answered)
    for call, count in replied.items():
        if count > received[call]:
            yield f"{call[1]}: {count} replies in the audit, {received[call]} requests received"


def _normalised(body: str) -> str:
    return json.dumps(json.loads(body), sort_keys=True)


def _number_means_one_body(evidence: Evidence) -> Iterator[str]:
    bodies: dict[Call, set[str]] = {}
    for each in evidence.received:
        bodies.setdefault(_call(each), set()).add(_normalised(each.body))
    for (_, number), different in bodies.items():
        if len(different) > 1:
            yield f"{number} carried {len(different)} bodies"


def _cancels_have_their_numbers(evidence: Evidence) -> Iterator[str]:
    own = {kind: cancel_unique_no(evidence.number, kind) for kind in CancelKind}
    for call in evidence.view.calls:
        if call.kind is not None and call.request_unique_no != own[call.kind]:
            yield f"the audit has a {call.kind} cancel under {call.request_unique_no}"
    for each in evidence.received:
        if each.operation is not Operation.ADJUST and each.request_unique_no not in own.values():
            yield f"a cancel was received under {each.request_unique_no}"


def _decision_stands(evidence: Evidence) -> Iterator[str]:
    view = evidence.view
    entered = [decision_of(change.state) for change in view.state_changes]
    given: set[Decision | None] = {*evidence.decisions, *entered, view.decision} - {None}
    if view.decision is not decision_of(view.state) or len(given) > 1:
        yield f"{view.state} with {view.decision}; given were {[*evidence.decisions]}, entered {entered}"


def _in_time(evidence: Evidence) -> Iterator[str]:
    if evidence.view.state is not State.SETTLED:
        return
    adjusts = [each for each in evidence.received if each.operation is Operation.ADJUST]
    waits = [each.ended_at_ns - each.received_at_ns for each in adjusts if each.ended_at_ns is not None]
    if waits and min(waits) > REPLY_LIMIT_NS:
        yield f"the reply was sent {min(waits) / 1e9:.3f} s after the adjust was received"


_RULES: tuple[tuple[Callable[[Evidence], Iterator[str]], ViolationKind], ...] = (
    (_at_rest, ViolationKind.NOT_AT_REST),
    (_views_agree, ViolationKind.VIEWS_DIFFER),
    (_settled_is_applied, ViolationKind.SETTLED_NOT_HELD),
    (_cancelled_is_reversed, ViolationKind.CANCELLED_BUT_HELD),
    (_expired_was_never_received, ViolationKind.EXPIRED_BUT_RECEIVED),
    (_result_is_true, ViolationKind.CANCEL_RESULT_WRONG),
    (_correct_reply_ended_it, ViolationKind.CANCELLED_WITHOUT_CORRECT_REPLY),
    (_confirmed, ViolationKind.NOT_CONFIRMED),
    (_contradiction_is_aborted, ViolationKind.CONTRADICTION_BELIEVED),
    (_listed, ViolationKind.NOT_LISTED),
    (_resolved_by_an_operator, ViolationKind.RESOLVED_WITHOUT_ACTION),
    (_resolved_by_two_operators, ViolationKind.RESOLVED_BY_ONE_OPERATOR),
    (_adjusted_once, ViolationKind.ADJUSTED_TWICE),
    (_audited, ViolationKind.UNAUDITED_CALL),
    (_replies_are_real, ViolationKind.INVENTED_REPLY),
    (_number_means_one_body, ViolationKind.NUMBER_REUSED),
    (_cancels_have_their_numbers, ViolationKind.WRONG_CANCEL_NUMBER),
    (_decision_stands, ViolationKind.DECISION_CHANGED),
    (_in_time, ViolationKind.LATE_SUCCESS_COUNTED),
)
