"""The books under random sequences of requests: balances and numbers always agree with a model."""

from collections import defaultdict
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from contract.cancel_adjust import CancelAdjustBody
from contract.cancel_operation import CancelOperationBody
from contract.operations import CODE_NEVER_RECEIVED, CODE_NOT_APPLIED, CODE_SUCCESS
from simulator.book_records import Cancel, ReceivedAdjust
from simulator.books import Books
from simulator.database import IN_MEMORY, connect
from simulator.replies import CODE_DANGLING, CODE_NUMBER_REUSED, CODE_REFUSED

NUMBERS = st.sampled_from(["N1", "N2", "N3"])
CANCEL_NUMBERS = st.sampled_from(["C1", "C2", "C3", "C4"])
AMOUNTS = {"N1": "0.000000000000000001", "N2": "-12.50", "N3": "12345678901234567890123456789"}
FOREVER_NS = 10**18


def adjust_of(number: str, amount: str | None = None) -> ReceivedAdjust:
    return ReceivedAdjust(
        thirdServerCode="customer-1",
        userName="user-1",
        currency="USD",
        bizType=2,
        operationType="OPEN_POSITION",
        amountDigits=18,
        amount=amount or AMOUNTS[number],
        orderId=7,
        requestUniqueNo=number,
        requestTime=1_760_000_000_000,
        ip="203.0.113.7",
    )


def cancel_of(number: str, name: str, *, deprecated: bool) -> Cancel:
    adjust, time_ms, remark = adjust_of(number), 1_760_000_003_000, "no reply"
    if deprecated:
        body = CancelOperationBody.undoing(adjust, number=name, request_time_ms=time_ms, remark=remark)
        return Cancel.by_cancel_operation(body)
    return Cancel.by_cancel_adjust(
        CancelAdjustBody.undoing(adjust, number=name, request_time_ms=time_ms, remark=remark)
    )


class BooksMachine(RuleBasedStateMachine):
    """Adjusts, delayed adjusts, cancels, repeats and reused numbers in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = connect(IN_MEMORY)
        self.books = Books(self.connection)
        self.answers: dict[tuple[str, str], str] = {}
        self.received: set[str] = set()
        self.burnt: set[str] = set()
        self.unguarded: set[str] = set()
        self.cancel_uses: dict[str, tuple[str, bool]] = {}
        self.applied_before: dict[str, int] = defaultdict(int)

    def teardown(self) -> None:
        """Close the database."""
        self.connection.close()

    @rule(number=NUMBERS, apply=st.booleans())
    def adjust(self, number: str, *, apply: bool) -> None:
        """The first adjust decides; every repeat gets the same code."""
        code = self.books.adjust(adjust_of(number), apply=apply).code
        if number in self.received:
            assert code == self.answers.setdefault(("adjust", number), code)
        elif number in self.burnt:
            assert code == CODE_DANGLING
        else:
            assert code == (CODE_SUCCESS if apply else CODE_REFUSED)
        self.answers[("adjust", number)] = code
        self.received.add(number)

    @rule(number=NUMBERS)
    def adjust_with_another_body(self, number: str) -> None:
        """A number that was received is not received again with another body."""
        if number in self.received:
            assert self.books.adjust(adjust_of(number, "77")).code == CODE_NUMBER_REUSED

    @rule(number=NUMBERS, refuse_if_burnt=st.booleans())
    def delayed_adjust(self, number: str, *, refuse_if_burnt: bool) -> None:
        """A delayed adjust is received when it is due; only `refuse_if_burnt=False` apply it to a burnt number."""
        self.books.delay(adjust_of(number), due_ns=1, refuse_if_burnt=refuse_if_burnt)
        assert self.books.apply_due(FOREVER_NS) == [number]
        if not refuse_if_burnt and number not in self.received:
            self.unguarded.add(number)
        self.received.add(number)

    @rule(name=CANCEL_NUMBERS, number=NUMBERS, deprecated=st.booleans())
    def cancel(self, name: str, number: str, *, deprecated: bool) -> None:
        """A repeated cancel gets the same code; another cancel under its number is refused."""
        before = self.books.number(number)
        code = self.books.cancel(cancel_of(number, name, deprecated=deprecated)).code
        if self.cancel_uses.setdefault(name, (number, deprecated)) != (number, deprecated):
            assert code == CODE_NUMBER_REUSED
        elif ("cancel", name) in self.answers:
            assert code == self.answers["cancel", name]
        else:
            assert code == self.expected_code(number, times_applied=before.times_applied)
            self.answers["cancel", name] = code
            self.burnt |= {number} - self.received

    def expected_code(self, number: str, *, times_applied: int) -> str:
        """Return the code that table 2 requires for a cancel under a new number."""
        if number not in self.received:
            return CODE_NEVER_RECEIVED
        return CODE_SUCCESS if times_applied else CODE_NOT_APPLIED

    @invariant()
    def balance_is_the_sum_of_applied_minus_reversed(self) -> None:
        """No request loses or creates money."""
        views = [self.books.number(number) for number in AMOUNTS]
        expected = sum(
            (Decimal(view.amount or "0") * (view.times_applied - view.times_reversed) for view in views), Decimal(0)
        )
        assert sum((Decimal(account.balance) for account in self.books.accounts()), Decimal(0)) == expected

    @invariant()
    def nothing_is_applied_or_reversed_twice(self) -> None:
        """A number is applied at most once and reversed at most once; the counts never decrease."""
        for number in AMOUNTS:
            view = self.books.number(number)
            assert 0 <= view.times_reversed <= view.times_applied <= 1
            assert view.times_applied >= self.applied_before[number]
            self.applied_before[number] = view.times_applied

    @invariant()
    def burnt_number_is_never_applied(self) -> None:
        """Except at a broker that does not burn numbers."""
        for number in self.burnt - self.unguarded:
            assert self.books.number(number).times_applied == 0


BooksMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestBooksMachine = BooksMachine.TestCase
