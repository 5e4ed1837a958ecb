"""The wait formula equals Temporal's own for the RetryPolicy that it gets."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from temporalio.common import RetryPolicy

from api.settlements.explain_next import round_lasts_at_most
from settlement.limits import CANCEL_START_TO_CLOSE
from settlement.policy import SettlementPolicy, attempts_of_round, is_sparse, retry_wait_s, waits_s
from workflows.compensation import CLOCK_TOLERANCE, attempts_possible, cancel_retry

TEMPORALS_SHORTEST = timedelta(seconds=1)

policies = st.fixed_dictionaries(
    {
        "cancel_max_attempts": st.integers(1, 100),
        "cancel_initial_interval_s": st.floats(0.001, 3_600),
        "cancel_max_interval_s": st.floats(0.001, 86_400),
        "cancel_sparse_attempts": st.just(0) | st.integers(1, 10),
        "cancel_sparse_initial_interval_s": st.floats(0.001, 86_400),
        "cancel_sparse_max_interval_s": st.floats(0.001, 604_800),
        "confirm_after_s": st.just(30),
        "expire_after_s": st.just(10),
    }
).map(SettlementPolicy.model_validate)


def temporal_waits(retry: RetryPolicy) -> list[timedelta]:
    """Return Temporal's wait before each retry: initial interval times coefficient to the power of the retries."""
    assert retry.maximum_interval is not None
    first_s, longest_s = retry.initial_interval.total_seconds(), retry.maximum_interval.total_seconds()
    return [
        max(TEMPORALS_SHORTEST, timedelta(seconds=min(first_s * retry.backoff_coefficient**retries, longest_s)))
        for retries in range(retry.maximum_attempts - 1)
    ]


def nearly_equal(one: timedelta, other: timedelta) -> bool:
    """Return whether two times are equal except for rounding to microseconds."""
    return abs(one - other) <= timedelta(milliseconds=1) + one * 1e-6


def waits_of_round(policy: SettlementPolicy) -> list[timedelta]:
    """Return the waits of a round: those of each band's RetryPolicy, and the timer between the bands."""
    first = temporal_waits(cancel_retry(policy))
    if policy.cancel_sparse_attempts == 0:
        return first
    timer = timedelta(seconds=retry_wait_s(policy, policy.cancel_max_attempts, None))
    return [*first, timer, *temporal_waits(cancel_retry(policy, policy.cancel_max_attempts))]


@given(policies)
def test_the_waits_equal_temporals(policy: SettlementPolicy) -> None:
    waits = [timedelta(seconds=each) for each in waits_s(policy)]
    expected = waits_of_round(policy)
    assert len(waits) == len(expected) == attempts_of_round(policy) - 1
    assert all(nearly_equal(one, other) for one, other in zip(waits, expected, strict=True))


@given(policies, st.data())
def test_a_band_that_continues_keeps_its_attempts_and_waits(policy: SettlementPolicy, data: st.DataObject) -> None:
    made = data.draw(st.integers(0, attempts_of_round(policy) - 1))
    retry = cancel_retry(policy, made)
    end = attempts_of_round(policy) if is_sparse(policy, made) else policy.cancel_max_attempts
    assert retry.maximum_attempts == end - made > 0
    assert retry.maximum_interval is not None
    assert retry.maximum_interval >= retry.initial_interval
    rest = [timedelta(seconds=each) for each in waits_s(policy)[made : end - 1]]
    assert all(nearly_equal(one, other) for one, other in zip(rest, temporal_waits(retry), strict=True))


@given(policies, st.none() | st.integers(0, 86_400), st.floats(0, 86_400), st.floats(0, 0.999))
def test_retry_after_is_never_earlier_than_the_backoff_nor_later_than_its_bound(
    policy: SettlementPolicy, retry_after_s: int | None, bound_s: float, share: float
) -> None:
    policy = policy.model_copy(update={"cancel_retry_after_max_s": bound_s})
    waits = waits_s(policy)
    if not waits:
        return
    index = int(share * len(waits))
    wait_s = retry_wait_s(policy, index + 1, retry_after_s)
    assert wait_s == waits[index] or waits[index] < wait_s <= bound_s
    assert wait_s >= min(retry_after_s or 0, bound_s)


@given(policies)
def test_the_stated_duration_of_a_round_equals_temporals(policy: SettlementPolicy) -> None:
    waits = sum(waits_of_round(policy), timedelta())
    assert nearly_equal(round_lasts_at_most(policy), CANCEL_START_TO_CLOSE * attempts_of_round(policy) + waits)


@given(policies, st.floats(0, 1), st.data())
def test_every_attempt_that_was_possible_in_the_time_is_counted(
    policy: SettlementPolicy, share: float, data: st.DataObject
) -> None:
    """With fewer, the external system could have received a call that the audit lacks."""
    made = data.draw(st.integers(0, attempts_of_round(policy)))
    waits = waits_of_round(policy)[made:]
    within = sum(waits, timedelta()) * share
    left = attempts_of_round(policy) - made
    due = [sum(waits[:index], timedelta()) for index in range(left)]
    begun = attempts_possible(policy, within, made)
    assert begun >= sum(each <= within for each in due)
    assert begun <= sum(each <= within + 2 * CLOCK_TOLERANCE + within * 1e-6 for each in due)


def test_no_attempt_is_counted_before_the_first_is_due() -> None:
    policy = SettlementPolicy(
        cancel_max_attempts=3,
        cancel_initial_interval_s=0.5,
        cancel_max_interval_s=60,
        confirm_after_s=30,
        expire_after_s=10,
    )
    assert waits_s(policy) == (1.0, 2.0)
    begun = {-1.0: 0, -0.2: 0, 0.0: 1, 0.8: 1, 1.0: 2, 2.8: 2, 3.0: 3, 1e6: 3}
    assert {each: attempts_possible(policy, timedelta(seconds=each)) for each in begun} == begun


def test_a_maximum_wait_below_the_first_is_raised_to_the_first() -> None:
    policy = SettlementPolicy(
        cancel_max_attempts=3,
        cancel_initial_interval_s=10,
        cancel_max_interval_s=5,
        confirm_after_s=30,
        expire_after_s=10,
    )
    assert waits_s(policy) == (10.0, 10.0)
