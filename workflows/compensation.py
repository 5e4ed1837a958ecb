"""What a cancel says and how patiently it is repeated: pure functions of the settlement."""

from datetime import timedelta
from itertools import accumulate

from temporalio.common import RetryPolicy

from contract.fields import REMARK_LENGTH_MAX
from settlement.ids import CancelKind, cancel_unique_no
from settlement.policy import FACTOR, SettlementPolicy, first_wait_s, longest_wait_s, waits_s
from settlement.snapshot import CancelIntent
from settlement.start import SettlementInput
from settlement.states import CancelResult, Outcome
from settlement.tasks import CancelTask

CLOCKS_APART = timedelta(seconds=0.1)
"""By how much two of Temporal's machines may differ in what time it is; the audit must not miss a call by that."""


def cancel_intent(kind: CancelKind, reason: str, request_time_ms: int) -> CancelIntent:
    """Begin a cancel of one kind: fix what its body is made from, once and for all its attempts."""
    return CancelIntent(kind=kind, request_time_ms=request_time_ms, remark=reason[:REMARK_LENGTH_MAX])


def cancel_task(settlement: SettlementInput, act: CancelIntent, round_: int) -> CancelTask:
    """Build one round of a cancel. Its number is derived, so whoever builds it builds the same request."""
    adjust = settlement.adjust
    return CancelTask(
        adjust=adjust,
        trace=settlement.trace,
        company_id=settlement.company_id,
        kind=act.kind,
        request_unique_no=cancel_unique_no(adjust.requestUniqueNo, act.kind),
        request_time_ms=act.request_time_ms,
        remark=act.remark,
        round=round_,
    )


def cancel_retry(policy: SettlementPolicy) -> RetryPolicy:
    """Return the bounded policy of one round of one cancel (contract, rule 3)."""
    return RetryPolicy(
        initial_interval=timedelta(seconds=first_wait_s(policy)),
        backoff_coefficient=FACTOR,
        maximum_interval=timedelta(seconds=longest_wait_s(policy)),
        maximum_attempts=policy.cancel_max_attempts,
    )


def attempts_begun(policy: SettlementPolicy, within: timedelta) -> int:
    """Return how many attempts of one round can have begun so long after the first was due; 0: it was not due yet.

    That is as many as there were if no call took any time.
    """
    due_s = accumulate(waits_s(policy), initial=0.0)
    return sum(timedelta(seconds=each) - CLOCKS_APART <= within for each in due_s)


def needs_confirming(policy: SettlementPolicy, adjust: Outcome, result: CancelResult) -> bool:
    """Tell whether a cancel's answer may only mean "not so far" (contract, interpretations).

    After a rejected adjust the external system has spoken about it, and nothing can still be on its
    way. After an unknown one, or one called applied, "not applied" and "never received" may be
    overtaken by the adjust itself.
    """
    return policy.confirm_after_s > 0 and adjust is not Outcome.REJECTED and result is not CancelResult.REVERSED
