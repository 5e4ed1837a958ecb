"""How a cancel adjust is built, retried and confirmed: pure functions of the settlement."""

from datetime import timedelta
from itertools import accumulate

from temporalio.common import RetryPolicy

from contract.fields import REMARK_LENGTH_MAX
from settlement.ids import CancelKind
from settlement.policy import (
    BACKOFF_FACTOR,
    ConfirmMode,
    SettlementPolicy,
    attempts_left_in_band,
    attempts_of_round,
    first_band,
    is_sparse,
    sparse_band,
    waits_s,
)
from settlement.snapshot import CancelIntent
from settlement.states import CancelResult, Outcome

CLOCK_TOLERANCE = timedelta(seconds=0.1)
"""Largest expected difference between the clocks of two Temporal machines. It must not hide a call from the audit."""


def cancel_intent(kind: CancelKind, reason: str, request_time_ms: int) -> CancelIntent:
    """Return a new cancel intent. It fixes the request body for all attempts of this cancel."""
    return CancelIntent(kind=kind, request_time_ms=request_time_ms, remark=reason[:REMARK_LENGTH_MAX])


def cancel_retry(policy: SettlementPolicy, attempts_made: int = 0) -> RetryPolicy:
    """Return the bounded retry policy of what is left of one band of a round (docs/contract.md#rule-3).

    The band is that of the next attempt. Its waits continue those of the attempts that the round has made.
    """
    band = sparse_band(policy) if is_sparse(policy, attempts_made) else first_band(policy)
    attempts = attempts_left_in_band(policy, attempts_made)
    waits = waits_s(policy)[attempts_made : attempts_made + attempts - 1]
    return RetryPolicy(
        initial_interval=timedelta(seconds=waits[0] if waits else band.first_wait_s),
        backoff_coefficient=BACKOFF_FACTOR,
        maximum_interval=timedelta(seconds=band.longest_wait_s),
        maximum_attempts=attempts,
    )


def attempts_possible(policy: SettlementPolicy, elapsed: timedelta, attempts_made: int = 0) -> int:
    """Return the largest number of attempts, in both bands, that a round can have made beyond `attempts_made`.

    `elapsed` is the time since the next of them was due. Returns 0 if it was not due yet. The calls themselves count as
    if they took no time.
    """
    if attempts_made >= attempts_of_round(policy):
        return 0
    due_s = accumulate(waits_s(policy)[attempts_made:], initial=0.0)
    return sum(timedelta(seconds=each) - CLOCK_TOLERANCE <= elapsed for each in due_s)


def needs_confirming(policy: SettlementPolicy, adjust: Outcome, result: CancelResult) -> bool:
    """Return whether a confirming cancel must follow this result (docs/contract.md#confirming-cancel).

    By default REVERSED is final. So is every result after a REJECTED adjust: the external system has answered it, so it
    cannot arrive any more. After any other adjust, NOT_APPLIED and NEVER_RECEIVED only mean "not so far": the adjust
    may still arrive.
    """
    match policy.confirm:
        case ConfirmMode.NEVER:
            return False
        case ConfirmMode.ALWAYS:
            return True
    return adjust is not Outcome.REJECTED and result is not CancelResult.REVERSED
