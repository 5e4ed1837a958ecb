"""Each combination of events in a statement and state in the ledger leads to one kind of difference, or to none."""

from datetime import UTC, datetime, timedelta

import pytest

from settlement.broker_statement import LineKind
from settlement.finding_actions import ACTIONS
from settlement.operator_rules import ResolveReason
from settlement.reconciliation import STATEMENT_KINDS, FindingKind
from settlement.statement_differences import Booking, LedgerEntry, Period, compare_absent, compare_number
from settlement.states import END_STATES, CancelResult, State

STARTS_AT, ENDS_AT = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
PERIOD = Period(STARTS_AT, ENDS_AT, timedelta(minutes=5))
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
UNDECIDED = "undecided"

ENDS = {
    "SETTLED": (State.SETTLED, None, None),
    "EXPIRED": (State.EXPIRED, None, None),
    "REVERSED": (State.CANCELLED, CancelResult.REVERSED, None),
    "NOT_APPLIED": (State.CANCELLED, CancelResult.NOT_APPLIED, None),
    "NEVER_RECEIVED": (State.CANCELLED, CancelResult.NEVER_RECEIVED, None),
    "WRITTEN_OFF": (State.RESOLVED, None, ResolveReason.WRITTEN_OFF),
    "BY_BROKER": (State.RESOLVED, None, ResolveReason.REVERSED_BY_BROKER),
}
HELD, APPLIED_TWICE, REVERSED_TWICE = "APPLIED_BUT_VOID", "APPLIED_TWICE", "REVERSED_TWICE"


def entry(end: str, accepted_at: datetime = NOON, updated_at: datetime | None = None) -> LedgerEntry:
    state, cancel_result, reason = ENDS[end]
    return LedgerEntry(
        "N", state, cancel_result, "12.50", "USD", accepted_at, updated_at or accepted_at + SECOND, reason
    )


def bookings(events: str, amount: str = "12.5", currency: str = "USD") -> list[Booking]:
    """Return an event for each letter: A applied, R reversed."""
    kinds = {"A": LineKind.APPLIED, "R": LineKind.REVERSED}
    at_ms = int(NOON.timestamp() * 1000)
    return [Booking("N", kinds[each], amount, currency, at_ms + position) for position, each in enumerate(events)]


def judged(events: str, ledger: LedgerEntry) -> str | None:
    """Return the kind of the only difference without its prefix, `UNDECIDED`, or None."""
    found = compare_number(bookings(events), ledger, PERIOD) if events else compare_absent(ledger, PERIOD)
    assert not found.is_open
    if not found.differences:
        return UNDECIDED if found.is_undecided else None
    (difference,) = found.differences
    assert (difference.amount, difference.currency) == ("12.50", "USD")
    return difference.kind.removeprefix("STATEMENT_")


@pytest.mark.parametrize(
    ("end", "events", "expected"),
    [
        ("SETTLED", "", "MISSING_BUT_SETTLED"),
        ("SETTLED", "A", None),
        ("SETTLED", "R", "REVERSED_BUT_SETTLED"),
        ("SETTLED", "AR", "REVERSED_BUT_SETTLED"),
        ("SETTLED", "AA", APPLIED_TWICE),
        ("SETTLED", "AAR", None),
        ("SETTLED", "ARR", REVERSED_TWICE),
        ("REVERSED", "", "MISSING_NUMBER"),
        ("REVERSED", "A", HELD),
        ("REVERSED", "R", REVERSED_TWICE),
        ("REVERSED", "AR", None),
        ("REVERSED", "ARR", REVERSED_TWICE),
        ("REVERSED", "AARR", None),
        ("REVERSED", "AA", APPLIED_TWICE),
        ("NOT_APPLIED", "", None),
        ("NOT_APPLIED", "A", HELD),
        ("NOT_APPLIED", "AR", None),
        ("NEVER_RECEIVED", "A", HELD),
        ("EXPIRED", "", None),
        ("EXPIRED", "A", HELD),
        ("WRITTEN_OFF", "A", None),
        ("BY_BROKER", "", None),
        ("BY_BROKER", "A", HELD),
        ("BY_BROKER", "AR", None),
    ],
)
def test_events_and_end_give_one_kind(end: str, events: str, expected: str | None) -> None:
    assert judged(events, entry(end)) == expected


@pytest.mark.parametrize(
    ("end", "events", "accepted_at", "updated_at", "expected"),
    [
        ("SETTLED", "", STARTS_AT + SECOND, None, UNDECIDED),
        ("SETTLED", "", ENDS_AT - SECOND, None, UNDECIDED),
        ("REVERSED", "", NOON, ENDS_AT, UNDECIDED),
        ("REVERSED", "A", NOON, ENDS_AT + HOUR, UNDECIDED),
        ("BY_BROKER", "A", NOON, ENDS_AT + HOUR, UNDECIDED),
        ("NEVER_RECEIVED", "A", NOON, ENDS_AT + HOUR, HELD),
        ("REVERSED", "R", STARTS_AT - HOUR, NOON, UNDECIDED),
        ("SETTLED", "R", STARTS_AT - HOUR, None, "REVERSED_BUT_SETTLED"),
    ],
)
def test_what_another_statement_may_have_is_undecided(
    end: str, events: str, accepted_at: datetime, updated_at: datetime | None, expected: str
) -> None:
    assert judged(events, entry(end, accepted_at, updated_at)) == expected


@pytest.mark.parametrize("state", sorted(set(State) - END_STATES))
def test_an_open_settlement_is_no_difference(state: State) -> None:
    ledger = LedgerEntry("N", state, None, "12.50", "USD", NOON, NOON)
    for found in (compare_number(bookings("AARRR", "1"), ledger, PERIOD), compare_absent(ledger, PERIOD)):
        assert (found.differences, found.is_open) == ((), True)


@pytest.mark.parametrize(
    ("amount", "currency", "differs"),
    [("12.500", "USD", False), ("-12.50", "USD", True), ("12.49", "USD", True), ("12.50", "EUR", True)],
)
def test_amounts_are_compared_as_numbers_with_their_sign(amount: str, currency: str, *, differs: bool) -> None:
    found = compare_number(bookings("A", amount, currency), entry("SETTLED"), PERIOD).differences
    assert [(each.kind, each.amount, each.currency) for each in found] == (
        [(FindingKind.STATEMENT_DIFFERENT_AMOUNT, amount, currency)] if differs else []
    )


def test_one_number_can_have_two_differences() -> None:
    found = compare_number(bookings("A", "1"), entry("NOT_APPLIED"), PERIOD).differences
    assert {each.kind for each in found} == {
        FindingKind.STATEMENT_DIFFERENT_AMOUNT,
        FindingKind.STATEMENT_APPLIED_BUT_VOID,
    }


def test_the_detail_of_many_events_is_short() -> None:
    (difference,) = compare_number(bookings("A" * 2_000), entry("SETTLED"), PERIOD).differences
    assert difference.detail.count("APPLIED") == 4
    assert " and 1996 more, but the settlement is SETTLED" in difference.detail


def test_every_kind_of_finding_has_an_action() -> None:
    assert set(ACTIONS) == set(FindingKind)
    assert len(STATEMENT_KINDS) == 8
