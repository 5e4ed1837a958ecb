"""How a cancel adjust is built, retried and confirmed: pure functions of the settlement."""

from datetime import timedelta
from itertools import accumulate

from temporalio.common import RetryPolicy

from contract.fields import REMARK_LENGTH_MAX
from settlement.ids import CancelKind
from settlement.policy import BACKOFF_FACTOR, SettlementPolicy, first_wait_s, longest_wait_s, waits_s
from settlement.snapshot import CancelIntent
from settlement.states import CancelResult, Outcome

CLOCK_TOLERANCE = timedelta(seconds=0.1)
"""Largest expected difference between the clocks of two Temporal machines. It must not hide a call from the audit."""


def cancel_intent(kind: CancelKind, reason: str, request_time_ms: int) -> CancelIntent:
    """Return a new cancel intent. It fixes the request body for all attempts of this cancel."""
    return CancelIntent(kind=kind, request_time_ms=request_time_ms, remark=reason[:REMARK_LENGTH_MAX])


def cancel_retry(policy: SettlementPolicy, attempts_made: int = 0) -> RetryPolicy:
    """Return the bounded retry policy of what is left of one round of one cancel (docs/contract.md#rule-3)."""
    return RetryPolicy(
        initial_interval=timedelta(seconds=first_wait_s(policy)),
        backoff_coefficient=BACKOFF_FACTOR,
        maximum_interval=timedelta(seconds=longest_wait_s(policy)),
        maximum_attempts=policy.cancel_max_attempts - attempts_made,
    )


def attempts_possible(policy: SettlementPolicy, elapsed: timedelta) -> int:
    """Return the largest number of attempts that one round can have made, `elapsed` after its first attempt was due.

    Returns 0 if the first attempt was not due yet. The calls themselves count as if they took no time.
    """
    due_s = accumulate(waits_s(policy), initial=0.0)
    return sum(timedelta(seconds=each) - CLOCK_TOLERANCE <= elapsed for each in due_s)


def needs_confirming(policy: SettlementPolicy, adjust: Outcome, result: CancelResult) -> bool:
    """Return whether a confirming cancel must follow this result (docs/contract.md#confirming-cancel).

    REVERSED is final. So is every result after a REJECTED adjust: the external system has answered it, so it cannot
    arrive any more. After any other adjust, NOT_APPLIED and NEVER_RECEIVED only mean "not so far": the adjust may
    still arrive.
    """
    return policy.confirm_after_s > 0 and adjust is not Outcome.REJECTED and result is not CancelResult.REVERSED
