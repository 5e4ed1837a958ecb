"""The retry policy of a settlement's cancels, and the formula for the waits between attempts."""

from itertools import accumulate

from contract.model import Model


class SettlementPolicy(Model):
    """Retry and expiry settings of one settlement. The workflow's input has them, so a replay uses the same values."""

    cancel_max_attempts: int
    """Maximum attempts of one cancel in one round; then the settlement is ABORTED."""
    cancel_initial_interval_s: float
    cancel_max_interval_s: float
    confirm_after_s: float
    """Quarantine before the confirming cancel; 0 disables the confirming cancel."""
    expire_after_s: float
    """Time after acceptance from which the order's adjust is no longer sent."""


BACKOFF_FACTOR = 2
"""Each wait is this many times the previous wait, up to the maximum."""
WAIT_MIN_S = 1.0
"""Temporal never waits less than this before a retry (measured on Server 1.32). A shorter configured interval is raised
to this value, so that the formula holds on any server."""


def first_wait_s(policy: SettlementPolicy) -> float:
    """Return the wait in seconds between the end of the first attempt and the second attempt."""
    return max(WAIT_MIN_S, policy.cancel_initial_interval_s)


def longest_wait_s(policy: SettlementPolicy) -> float:
    """Return the maximum wait in seconds; never less than the first wait."""
    return max(first_wait_s(policy), policy.cancel_max_interval_s)


def waits_s(policy: SettlementPolicy) -> tuple[float, ...]:
    """Return the waits of one round in seconds: one fewer than attempts. Each starts when an attempt ends."""
    longest = longest_wait_s(policy)
    between = range(policy.cancel_max_attempts - 1)
    return tuple(
        accumulate(between, lambda wait, _: min(wait * BACKOFF_FACTOR, longest), initial=first_wait_s(policy))
    )[: len(between)]
