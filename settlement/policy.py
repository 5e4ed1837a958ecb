"""The retry policy of a settlement's cancels, and the formula for the waits between attempts.

A round of one cancel has two bands of attempts: the first band, seconds apart, and then the sparse band, minutes to
hours apart, which is optional. Each band is a bounded Temporal RetryPolicy.
"""

from enum import StrEnum
from itertools import accumulate
from typing import NamedTuple

from contract.model import Model


class ConfirmMode(StrEnum):
    """When a confirming cancel follows the result of the first cancel (docs/contract.md#confirming-cancel)."""

    AFTER_NOT_FOUND = "after-not-found"
    """After NOT_APPLIED and NEVER_RECEIVED, unless the adjust was REJECTED."""
    ALWAYS = "always"
    """After every result, also after REVERSED and after a REJECTED adjust."""
    NEVER = "never"
    """The first result is final. An adjust that arrives after its cancel is not found by this service."""


class SettlementPolicy(Model):
    """Retry and expiry settings of one settlement. The workflow's input has them, so a replay uses the same values."""

    cancel_max_attempts: int
    """Maximum attempts of one cancel in the first band of one round."""
    cancel_initial_interval_s: float
    cancel_max_interval_s: float
    cancel_sparse_attempts: int = 0
    """Maximum attempts in the sparse band, which follows the first band; then the settlement is ABORTED. 0: no band."""
    cancel_sparse_initial_interval_s: float = 900.0
    """Wait between the end of the first band and the first attempt of the sparse band."""
    cancel_sparse_max_interval_s: float = 14_400.0
    cancel_retry_after_max_s: float = 300.0
    """Longest wait that a `Retry-After` of the broker can cause; 0 ignores the header."""
    cancel_in_process_max: int = 10
    """Maximum replies "still in process" in one round that use no attempt. Each further one uses an attempt."""
    confirm: ConfirmMode = ConfirmMode.AFTER_NOT_FOUND
    confirm_after_s: float
    """Quarantine before the confirming cancel."""
    expire_after_s: float
    """Time after acceptance from which the order's adjust is no longer sent."""


BACKOFF_FACTOR = 2
"""Each wait is this many times the previous wait, up to the maximum."""
WAIT_MIN_S = 1.0
"""Temporal never waits less than this before a retry (measured on Server 1.32). A shorter configured interval is raised
to this value, so that the formula holds on any server."""


class Band(NamedTuple):
    """A band of attempts. Its waits begin with `first_wait_s` and grow up to `longest_wait_s`, both in seconds."""

    attempts: int
    first_wait_s: float
    longest_wait_s: float

    @classmethod
    def of(cls, attempts: int, first_wait_s: float, longest_wait_s: float) -> "Band":
        """Return the band with these settings. Too short waits are raised: the first one to 1 s, then the longest."""
        first_wait_s = max(WAIT_MIN_S, first_wait_s)
        return cls(attempts, first_wait_s, max(first_wait_s, longest_wait_s))

    def waits_s(self, count: int) -> tuple[float, ...]:
        """Return the first `count` waits in seconds. Each starts when an attempt ends."""
        grown = accumulate(
            range(count - 1), lambda wait, _: min(wait * BACKOFF_FACTOR, self.longest_wait_s), initial=self.first_wait_s
        )
        return tuple(grown)[:count]


def first_band(policy: SettlementPolicy) -> Band:
    """Return the first band: its waits are those between its attempts."""
    return Band.of(policy.cancel_max_attempts, policy.cancel_initial_interval_s, policy.cancel_max_interval_s)


def sparse_band(policy: SettlementPolicy) -> Band:
    """Return the sparse band: its first wait is the one before its first attempt."""
    return Band.of(
        policy.cancel_sparse_attempts, policy.cancel_sparse_initial_interval_s, policy.cancel_sparse_max_interval_s
    )


def attempts_of_round(policy: SettlementPolicy) -> int:
    """Return the maximum attempts of one cancel in one round, in both bands; then the settlement is ABORTED."""
    return policy.cancel_max_attempts + policy.cancel_sparse_attempts


def is_sparse(policy: SettlementPolicy, attempts_made: int) -> bool:
    """Return whether the next attempt belongs to the sparse band, after this number of attempts of the round."""
    return attempts_made >= policy.cancel_max_attempts


def attempts_left_in_band(policy: SettlementPolicy, attempts_made: int) -> int:
    """Return how many attempts are left in the band of the next attempt."""
    end = attempts_of_round(policy) if is_sparse(policy, attempts_made) else policy.cancel_max_attempts
    return end - attempts_made


def waits_s(policy: SettlementPolicy) -> tuple[float, ...]:
    """Return the waits of one round in seconds, in both bands: one fewer than attempts."""
    first, sparse = first_band(policy), sparse_band(policy)
    return (*first.waits_s(first.attempts - 1), *sparse.waits_s(sparse.attempts))


def retry_wait_s(policy: SettlementPolicy, attempts_made: int, retry_after_s: int | None) -> float:
    """Return the wait in seconds after the nth attempt of a round, which must not be the last one.

    It is never shorter than the backoff. A `Retry-After` makes it longer, but not beyond `cancel_retry_after_max_s`.
    """
    return max(waits_s(policy)[attempts_made - 1], min(retry_after_s or 0, policy.cancel_retry_after_max_s))


def in_process_wait_s(policy: SettlementPolicy, replies: int) -> float:
    """Return the wait in seconds after the nth reply "still in process" of a round: as between first attempts."""
    return first_band(policy).waits_s(replies)[-1]
