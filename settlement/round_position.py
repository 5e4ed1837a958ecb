"""Where the current round of cancels stands: attempts made, and when the others are due. Pure functions of a snapshot.

A running activity reports its attempts when it ends. Until then the attempts and times are those that the policy plans.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import accumulate
from typing import NamedTuple

from settlement.calls import CallRecord, Rule
from settlement.external_systems import WAITING, waits_for
from settlement.ids import CancelKind
from settlement.policy import SettlementPolicy, attempts_of_round, in_process_wait_s, is_sparse, retry_wait_s, waits_s
from settlement.snapshot import CancelIntent, Snapshot
from settlement.start import SettlementInput
from settlement.states import State

_CLOCK_TOLERANCE = timedelta(seconds=1)


class RoundPosition(NamedTuple):
    """Position in a round of cancels, after its last recorded call."""

    attempts_made: int
    """Attempts of the round that the audit has; calls that use no attempt do not count."""
    next_due_at: datetime
    """Earliest time of the next call."""


def round_started_at(snapshot: Snapshot) -> datetime:
    """Return when the current round of a settlement in CANCELLING started, or will start: its cancel was due."""
    started = [each.at for each in snapshot.state_changes if each.state is State.CANCELLING]
    # A take-up starts a round without a change of state.
    started += [action.at for action in snapshot.actions]
    confirming = [each.due_at for each in snapshot.cancel_intents if each.kind is CancelKind.CONFIRMING]
    return max([*started, *confirming], default=snapshot.updated_at)


def round_position(settlement: SettlementInput, snapshot: Snapshot) -> RoundPosition:
    """Return the position in the current round of a settlement in CANCELLING."""
    last = _last_call_of_round(snapshot)
    if last is None:
        return RoundPosition(0, round_started_at(snapshot))
    # Not only the newest call: the record of an attempt that was not reported is added behind later ones.
    attempts_made = max(call.attempt - _uses_no_attempt(call) for call in _of_round(snapshot))
    wait_s = _wait_s(settlement, snapshot, last, attempts_made)
    return RoundPosition(attempts_made, snapshot.updated_at + timedelta(seconds=wait_s))


def due_times(policy: SettlementPolicy, position: RoundPosition) -> tuple[datetime, ...]:
    """Return the times at which the remaining attempts of the round are due, if no call takes any time."""
    made = position.attempts_made
    if made >= attempts_of_round(policy):
        return ()
    later_s = accumulate(waits_s(policy)[made:], initial=0.0)
    return tuple(position.next_due_at + timedelta(seconds=each) for each in later_s)


def in_process_replies(snapshot: Snapshot) -> int:
    """Return how many calls of the newest call's round were answered "still in process" and used no attempt."""
    return sum(map(_uses_no_attempt, _of_round(snapshot)))


def sparse_reason(policy: SettlementPolicy, kind: CancelKind, position: RoundPosition) -> str:
    """Return the reason of a settlement that waits for its sparse band of attempts."""
    first = f"{kind} cancel adjust used up the {policy.cancel_max_attempts} attempts of its first band"
    return f"{first}; {plan_in_words(policy, position)}"


def in_process_reason(policy: SettlementPolicy, kind: CancelKind, position: RoundPosition, replies: int) -> str:
    """Return the reason of a settlement whose cancel is still in process at the broker."""
    count = f"reply {replies} of {policy.cancel_in_process_max} that use no attempt"
    waiting = f"{WAITING}{kind} cancel adjust is in process at the broker ({count})"
    return f"{waiting}; {plan_in_words(policy, position)}"


def plan_in_words(policy: SettlementPolicy, position: RoundPosition) -> str:
    """Say which band the next attempt belongs to, when it is due, and when the settlement would become ABORTED."""
    due = due_times(policy, position)
    if not due:
        return "no attempt is left"
    band = "sparse band" if is_sparse(policy, position.attempts_made) else "first band"
    number, total = position.attempts_made + 1, attempts_of_round(policy)
    return (
        f"{band}: attempt {number} of {total} at {utc_text(due[0])}; "
        f"ABORTED at about {utc_text(due[-1])} if no reply settles it"
    )


def utc_text(moment: datetime) -> str:
    """Return a time to the second, as texts show it."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _uses_no_attempt(call: CallRecord) -> bool:
    return call.verdict.rule is Rule.CODE_MEANS_IN_PROCESS


def _of_round(snapshot: Snapshot) -> Iterator[CallRecord]:
    """Yield the calls of the same cancel and round as the newest call."""
    last = snapshot.calls[-1]
    yield from (call for call in snapshot.calls if (call.kind, call.round) == (last.kind, last.round))


def _last_call_of_round(snapshot: Snapshot) -> CallRecord | None:
    """Return the newest call if the current round has recorded it."""
    intent: CancelIntent | None = snapshot.cancel_intents[-1] if snapshot.cancel_intents else None
    last = snapshot.calls[-1] if snapshot.calls else None
    if intent is None or last is None or last.kind is not intent.kind or last.cancel_result is not None:
        return None
    # Two clocks: the first condition has Temporal's, the second also the worker's. If a call of this round is missed,
    # the round seems to be at its start, and too many attempts count as possible, never too few.
    started_at = round_started_at(snapshot)
    return last if snapshot.updated_at > started_at and last.sent_at >= started_at - _CLOCK_TOLERANCE else None


def _wait_s(settlement: SettlementInput, snapshot: Snapshot, last: CallRecord, attempts_made: int) -> float:
    policy = settlement.policy
    if _uses_no_attempt(last):
        return in_process_wait_s(policy, in_process_replies(snapshot))
    if waits_for(settlement.system, snapshot.reason) is not None or attempts_made >= attempts_of_round(policy):
        return 0.0
    return retry_wait_s(policy, attempts_made, last.verdict.retry_after_s)
