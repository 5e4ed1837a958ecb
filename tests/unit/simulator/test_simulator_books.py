"""The rules of the broker's books, each shown by a short sequence of requests."""

import sqlite3
from collections.abc import Iterator
from decimal import Decimal

import pytest

from contract.cancel_adjust import CancelAdjustBody
from contract.cancel_operation import CancelOperationBody
from contract.operations import CODE_NEVER_RECEIVED, CODE_NOT_APPLIED, CODE_SUCCESS
from simulator.book_records import Cancel, NumberState, ReceivedAdjust
from simulator.books import Books
from simulator.database import IN_MEMORY, connect
from simulator.replies import CODE_DANGLING, CODE_MISMATCH, CODE_NUMBER_REUSED, CODE_REFUSED, Result

OK = CODE_SUCCESS
ADJUST = ReceivedAdjust(
    thirdServerCode="customer-1",
    userName="user-1",
    currency="USD",
    bizType=1,
    operationType="OPEN_POSITION",
    amountDigits=2,
    amount="12.50",
    orderId=7,
    requestUniqueNo="N1",
    requestTime=1_760_000_000_000,
    ip="203.0.113.7",
)
REPEAT = ADJUST.model_copy(update={"requestTime": 1_760_000_009_000, "ip": "::1", "amount": "12.5", "metadata": "{}"})
OTHER_BODY = ADJUST.model_copy(update={"amount": "99.00"})


@pytest.fixture
def books() -> Iterator[Books]:
    connection = connect(IN_MEMORY)
    yield Books(connection)
    connection.close()


def cancel(number: str, **changes: object) -> Cancel:
    body = CancelAdjustBody.undoing(ADJUST, number=number, request_time_ms=1_760_000_003_000, remark="no reply")
    return Cancel.by_cancel_adjust(body.model_copy(update=changes))


def cancel_operation(number: str, **changes: object) -> Cancel:
    body = CancelOperationBody.undoing(ADJUST, number=number, request_time_ms=1_760_000_003_000, remark="no reply")
    return Cancel.by_cancel_operation(body.model_copy(update=changes))


def send(books: Books, name: str) -> Result:
    """Send the request with this name to the books."""
    requests = {
        "adjust": lambda: books.adjust(ADJUST),
        "adjust, other body": lambda: books.adjust(OTHER_BODY),
        "adjust, fresh clock": lambda: books.adjust(REPEAT),
        "adjust, other company": lambda: books.adjust(ADJUST.model_copy(update={"company_id": 8})),
        "adjust, refused": lambda: books.adjust(ADJUST, apply=False),
        "adjust, unguarded": lambda: books.adjust(ADJUST, refuse_if_burnt=False),
        "cancel C1": lambda: books.cancel(cancel("C1")),
        "cancel C1, other body": lambda: books.cancel(cancel("C1", amount="12.49")),
        "cancel C1, fresh clock": lambda: books.cancel(cancel("C1", requestTime=1_760_000_009_000, ip="::1")),
        "cancel C2": lambda: books.cancel(cancel("C2")),
        "cancel C3, wrong amount": lambda: books.cancel(cancel("C3", amount="12.51")),
        "cancel operation C1": lambda: books.cancel(cancel_operation("C1")),
        "cancel operation C2": lambda: books.cancel(cancel_operation("C2")),
        "cancel operation C3, wrong user": lambda: books.cancel(cancel_operation("C3", username="user-2")),
        "cancel operation C3, wrong type": lambda: books.cancel(cancel_operation("C3", reverse_type=2)),
    }
    return requests[name]()


SEQUENCES = [
    (["adjust"], [OK], NumberState.APPLIED, "12.50"),
    (["adjust", "adjust"], [OK, OK], NumberState.APPLIED, "12.50"),
    (["adjust", "adjust, fresh clock"], [OK, OK], NumberState.APPLIED, "12.50"),
    (["adjust", "adjust, other company"], [OK, CODE_NUMBER_REUSED], NumberState.APPLIED, "12.50"),
    (["adjust", "cancel C1", "cancel C1, fresh clock"], [OK, OK, OK], NumberState.REVERSED, "0.00"),
    (["adjust", "adjust, other body"], [OK, CODE_NUMBER_REUSED], NumberState.APPLIED, "12.50"),
    (["adjust", "adjust, other body", "adjust"], [OK, CODE_NUMBER_REUSED, OK], NumberState.APPLIED, "12.50"),
    (["adjust, refused"], [CODE_REFUSED], NumberState.NOT_APPLIED, "0"),
    (["adjust, refused", "adjust"], [CODE_REFUSED, CODE_REFUSED], NumberState.NOT_APPLIED, "0"),
    (["adjust", "cancel C1"], [OK, OK], NumberState.REVERSED, "0.00"),
    (["adjust", "cancel C1", "cancel C1"], [OK, OK, OK], NumberState.REVERSED, "0.00"),
    (["adjust", "cancel C1", "cancel C2"], [OK, OK, OK], NumberState.REVERSED, "0.00"),
    (["adjust", "cancel C1", "adjust"], [OK, OK, OK], NumberState.REVERSED, "0.00"),
    (["adjust", "cancel C1", "cancel C1, other body"], [OK, OK, CODE_NUMBER_REUSED], NumberState.REVERSED, "0.00"),
    (["adjust", "cancel C3, wrong amount"], [OK, CODE_MISMATCH], NumberState.APPLIED, "12.50"),
    (["adjust, refused", "cancel C1"], [CODE_REFUSED, CODE_NOT_APPLIED], NumberState.NOT_APPLIED, "0"),
    (["cancel C1"], [CODE_NEVER_RECEIVED], NumberState.BURNT, "0"),
    (["cancel C1", "cancel C1"], [CODE_NEVER_RECEIVED, CODE_NEVER_RECEIVED], NumberState.BURNT, "0"),
    (["cancel C1", "cancel C2"], [CODE_NEVER_RECEIVED, CODE_NEVER_RECEIVED], NumberState.BURNT, "0"),
    (["cancel C1", "adjust"], [CODE_NEVER_RECEIVED, CODE_DANGLING], NumberState.NOT_APPLIED, "0"),
    (
        ["cancel C1", "adjust", "adjust", "cancel C1", "cancel C2"],
        [CODE_NEVER_RECEIVED, CODE_DANGLING, CODE_DANGLING, CODE_NEVER_RECEIVED, CODE_NOT_APPLIED],
        NumberState.NOT_APPLIED,
        "0",
    ),
    (["cancel C1", "adjust, unguarded"], [CODE_NEVER_RECEIVED, OK], NumberState.APPLIED, "12.50"),
    (
        ["cancel C1", "adjust, unguarded", "cancel C1", "cancel C2"],
        [CODE_NEVER_RECEIVED, OK, CODE_NEVER_RECEIVED, OK],
        NumberState.REVERSED,
        "0.00",
    ),
    (["adjust", "cancel operation C1", "cancel operation C2"], [OK, OK, OK], NumberState.REVERSED, "0.00"),
    (["adjust", "cancel operation C1", "cancel C1"], [OK, OK, CODE_NUMBER_REUSED], NumberState.REVERSED, "0.00"),
    (["adjust", "cancel operation C3, wrong user"], [OK, CODE_MISMATCH], NumberState.APPLIED, "12.50"),
    (["adjust", "cancel operation C3, wrong type"], [OK, CODE_MISMATCH], NumberState.APPLIED, "12.50"),
    (["cancel operation C1", "adjust"], [CODE_NEVER_RECEIVED, CODE_DANGLING], NumberState.NOT_APPLIED, "0"),
]


@pytest.mark.parametrize(("names", "codes", "state", "balance"), SEQUENCES, ids=[" > ".join(s[0]) for s in SEQUENCES])
def test_sequence_of_requests(
    books: Books, names: list[str], codes: list[str], state: NumberState, balance: str
) -> None:
    """Each request gets its code; number and balance end as the contract says."""
    assert [send(books, name).code for name in names] == codes
    view = books.number("N1")
    assert view.state is state
    assert view.times_reversed <= view.times_applied <= 1
    assert sum(Decimal(account.balance) for account in books.accounts()) == Decimal(balance)


def test_unknown_number_is_never_received(books: Books) -> None:
    view = books.number("unknown")
    assert (view.state, view.amount, view.times_applied) == (NumberState.NEVER_RECEIVED, None, 0)


def test_corrected_cancel_is_carried_out_under_the_same_number(books: Books) -> None:
    """A contradicting cancel is not recorded, so its number can be used again."""
    books.adjust(ADJUST)
    assert books.cancel(cancel("C1", currency="EUR")) == Result(
        CODE_MISMATCH, "the cancel contradicts its adjust in currency"
    )
    assert books.cancel(cancel("C1")).code == OK


@pytest.mark.parametrize(
    ("biz_type", "reverse_type", "code"), [(1, 1, OK), (2, 2, OK), (1, 2, CODE_MISMATCH), (2, 1, CODE_MISMATCH)]
)
def test_reverse_type_must_fit_the_biz_type(books: Books, biz_type: int, reverse_type: int, code: str) -> None:
    """A cancel operation that says "close" does not undo an order that was placed, nor the other way round."""
    books.adjust(ADJUST.model_copy(update={"bizType": biz_type}))
    assert books.cancel(cancel_operation("C1", reverse_type=reverse_type)).code == code


@pytest.mark.parametrize("field", ["thirdServerCode", "orderId"])
def test_cancel_may_omit_an_optional_field(books: Books, field: str) -> None:
    books.adjust(ADJUST)
    assert books.cancel(cancel("C1", **{field: None})).code == OK


def test_cancel_may_spell_the_amount_with_other_zeros(books: Books) -> None:
    books.adjust(ADJUST)
    assert books.cancel(cancel("C1", amount="12.5")).code == OK


def test_negative_adjust_deducts_and_its_cancel_adds_the_amount_again(books: Books) -> None:
    """The amount of ABNORMAL_OVERTRADING is negative, that of its cancel positive: the adjust's sign counts."""
    books.adjust(ADJUST.model_copy(update={"operationType": "ABNORMAL_OVERTRADING", "amount": "-12.50"}))
    assert [account.balance for account in books.accounts()] == ["-12.50"]
    assert books.cancel(cancel("C1")).code == OK
    assert [account.balance for account in books.accounts()] == ["0.00"]


def test_balance_is_exact_for_the_largest_and_the_smallest_amount(books: Books) -> None:
    """One balance holds 39 digits before the point and 18 after it; a float or a 28-digit context would round."""
    huge, tiny = "9" * 39, "0." + "0" * 17 + "1"
    for name, amount in (("huge", huge), ("tiny", tiny)):
        books.adjust(ADJUST.model_copy(update={"requestUniqueNo": name, "amount": amount}))
    assert [account.balance for account in books.accounts()] == [f"{huge}.{'0' * 17}1"]


def test_accounts_are_kept_by_customer_and_currency(books: Books) -> None:
    for name, changes in {"1": {}, "2": {"currency": "EUR"}, "3": {"thirdServerCode": "customer-2"}}.items():
        books.adjust(ADJUST.model_copy(update={"requestUniqueNo": name} | changes))
    found = [(account.third_server_code, account.currency) for account in books.accounts()]
    assert found == [("customer-1", "EUR"), ("customer-1", "USD"), ("customer-2", "USD")]
    assert len(books.accounts("customer-2")) == 1
    assert len(books.accounts(limit=2)) == 2


@pytest.mark.parametrize(("refuse_if_burnt", "state"), [(True, NumberState.NOT_APPLIED), (False, NumberState.APPLIED)])
def test_delayed_adjust_that_arrives_after_its_cancel(
    books: Books, *, refuse_if_burnt: bool, state: NumberState
) -> None:
    """Until it is due it counts as never received; only a broker that does not burn numbers applies it then."""
    books.delay(ADJUST, due_ns=1_000, refuse_if_burnt=refuse_if_burnt)
    assert books.next_due_ns() == books.number("N1").landing_due_at_ns == 1_000
    assert books.apply_due(now_ns=999) == []
    assert books.cancel(cancel("C1")).code == CODE_NEVER_RECEIVED
    assert books.apply_due(now_ns=1_000) == ["N1"]
    assert books.apply_due(now_ns=2_000) == []
    assert (books.number("N1").state, books.next_due_ns()) == (state, None)


def test_adjust_that_is_delayed_twice_is_applied_once_at_the_first_time(books: Books) -> None:
    books.delay(ADJUST, due_ns=1_000, refuse_if_burnt=True)
    books.delay(ADJUST, due_ns=5_000, refuse_if_burnt=True)
    assert books.apply_due(now_ns=1_000) == ["N1"]
    assert books.number("N1").times_applied == 1


def test_failed_request_changes_nothing() -> None:
    """A request is one transaction: if the number cannot be written, the balance does not change either."""
    connection = connect(IN_MEMORY)
    books = Books(connection)
    connection.execute("CREATE TRIGGER no BEFORE INSERT ON numbers BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(sqlite3.IntegrityError):
        books.adjust(ADJUST)
    assert list(books.accounts()) == []
