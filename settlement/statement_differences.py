"""Compares what a broker statement says about one number with the ledger. Pure functions.

A statement covers a period. What may have happened outside of it can be in another statement, so it proves nothing:
such a settlement is undecided. The margin covers the clocks of both sides and the time of a call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from contract.fields import canonical_amount
from settlement.broker_statement import LineKind
from settlement.operator_rules import ResolveReason
from settlement.reconciliation import FindingKind
from settlement.states import END_STATES, CancelResult, State


class Booking(NamedTuple):
    """A line of a statement, as it is stored. Its fields have been validated, and are those of `StatementLine`."""

    number: str
    kind: LineKind
    amount: str
    currency: str
    at_ms: int

    @property
    def at(self) -> datetime:
        """Time of the event."""
        return datetime.fromtimestamp(self.at_ms / 1000, UTC)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What the ledger knows about one settlement."""

    number: str
    state: State
    cancel_result: CancelResult | None
    amount: str
    currency: str
    accepted_at: datetime
    updated_at: datetime
    resolve_reason: str | None = None
    """Reason code of the operator who resolved it; None in any other state."""

    @property
    def name(self) -> str:
        """Return state and result, such as CANCELLED (NEVER_RECEIVED)."""
        why = self.resolve_reason if self.state is State.RESOLVED else self.cancel_result
        return f"{self.state} ({why})" if why else f"{self.state}"


@dataclass(frozen=True)
class Period:
    """The period of a statement, from `starts_at` inclusive to `ends_at` exclusive, and its margin."""

    starts_at: datetime
    ends_at: datetime
    margin: timedelta

    def contains(self, earliest: datetime, latest: datetime) -> bool:
        """Return whether an event between two times of the ledger is certainly in this statement."""
        return self.begins_before(earliest) and self.ends_after(latest)

    def begins_before(self, earliest: datetime) -> bool:
        """Return whether no event at or after this time is in an earlier statement."""
        return self.starts_at <= earliest - self.margin

    def ends_after(self, latest: datetime) -> bool:
        """Return whether no event up to this time is in a later statement."""
        return latest + self.margin < self.ends_at


@dataclass(frozen=True)
class Difference:
    """One difference between statement and ledger: the finding that it becomes. Equal facts give equal texts."""

    kind: FindingKind
    number: str
    detail: str
    amount: str
    """The amount in question, as a plain decimal string."""
    currency: str


@dataclass(frozen=True)
class Comparison:
    """Result of comparing one number."""

    differences: tuple[Difference, ...] = ()
    is_open: bool = False
    """The settlement has not ended, so it was not compared."""
    is_undecided: bool = False
    """Part of it may be in another statement."""


def compare_number(lines: Sequence[Booking], entry: LedgerEntry | None, period: Period) -> Comparison:
    """Compare the lines of one number, at least one, with its settlement; None: the ledger does not have it."""
    if entry is None:
        first = lines[0]
        detail = f"{_summary(lines)}, but the ledger has no settlement of this external system with this number"
        kind = FindingKind.STATEMENT_UNKNOWN_NUMBER
        unknown = Difference(kind, first.number, detail, first.amount, first.currency)
        return Comparison((unknown,))
    if entry.state not in END_STATES:
        return Comparison(is_open=True)
    kind_or_doubt = _judge_counts(lines, entry, period)
    differences = _different_amounts(lines, entry)
    if isinstance(kind_or_doubt, FindingKind):
        detail = f"{_summary(lines)}, but the settlement is {entry.name}"
        differences += (Difference(kind_or_doubt, entry.number, detail, entry.amount, entry.currency),)
    return Comparison(differences, is_undecided=kind_or_doubt is _UNDECIDED)


def compare_absent(entry: LedgerEntry, period: Period) -> Comparison:
    """Compare a settlement with a statement that does not have its number."""
    if entry.state not in END_STATES:
        return Comparison(is_open=True)
    kind = None
    if entry.state is State.SETTLED:
        kind = FindingKind.STATEMENT_MISSING_BUT_SETTLED
    elif entry.state is State.CANCELLED and entry.cancel_result is CancelResult.REVERSED:
        kind = FindingKind.STATEMENT_MISSING_NUMBER
    if kind is None:
        return Comparison()
    if not period.contains(entry.accepted_at, entry.updated_at):
        return Comparison(is_undecided=True)
    detail = f"the statement does not have this number, but the settlement is {entry.name}"
    return Comparison((Difference(kind, entry.number, detail, entry.amount, entry.currency),))


_UNDECIDED = object()


def _judge_counts(lines: Sequence[Booking], entry: LedgerEntry, period: Period) -> object:
    """Return the kind of the difference, `_UNDECIDED`, or None if the statement agrees with the settlement."""
    applied = sum(line.kind is LineKind.APPLIED for line in lines)
    reversed_ = len(lines) - applied
    if reversed_ > 1 and reversed_ > applied:
        return FindingKind.STATEMENT_REVERSED_TWICE
    if applied - reversed_ > 1:
        return FindingKind.STATEMENT_APPLIED_TWICE
    if entry.state is State.SETTLED:
        return None if applied > reversed_ else FindingKind.STATEMENT_REVERSED_BUT_SETTLED
    if reversed_ > applied:
        # Reversed without an adjust. The adjust came before it, so only an earlier statement can have it.
        never_applied = period.begins_before(entry.accepted_at)
        return FindingKind.STATEMENT_REVERSED_TWICE if never_applied else _UNDECIDED
    return _judge_held(entry, period) if applied > reversed_ else None


def _judge_held(entry: LedgerEntry, period: Period) -> object:
    """Return as `_judge_counts` for a void order whose adjust the statement has as applied and not as reversed."""
    if entry.resolve_reason in {ResolveReason.WRITTEN_OFF, ResolveReason.OTHER}:
        return None  # the operator who resolved it has accepted this
    reversal_expected = (
        entry.cancel_result is CancelResult.REVERSED or entry.resolve_reason == ResolveReason.REVERSED_BY_BROKER
    )
    if reversal_expected and not period.ends_after(entry.updated_at):
        return _UNDECIDED
    return FindingKind.STATEMENT_APPLIED_BUT_VOID


def _different_amounts(lines: Sequence[Booking], entry: LedgerEntry) -> tuple[Difference, ...]:
    expected = canonical_amount(entry.amount), entry.currency
    different = [line for line in lines if (canonical_amount(line.amount), line.currency) != expected]
    if not different:
        return ()
    first = different[0]
    detail = f"{_summary(different)}, but the settlement has {entry.amount} {entry.currency} and is {entry.name}"
    kind = FindingKind.STATEMENT_DIFFERENT_AMOUNT
    return (Difference(kind, entry.number, detail, first.amount, first.currency),)


_SHOWN_MAX = 4


def _summary(lines: Sequence[Booking]) -> str:
    """Return the events in order of time, such as "the statement has APPLIED 12.50 USD at 2026-01-05T12:00:00.000Z"."""
    in_order = sorted(lines, key=lambda line: (line.at_ms, line.kind))
    shown = [f"{line.kind} {line.amount} {line.currency} at {_text(line.at)}" for line in in_order[:_SHOWN_MAX]]
    more = f" and {len(lines) - _SHOWN_MAX} more" if len(lines) > _SHOWN_MAX else ""
    return f"the statement has {', '.join(shown)}{more}"


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
