"""How patiently a cancel is repeated: the policy of a settlement, and the one formula of its waits."""

from itertools import accumulate

from contract.model import Model


class SettlementPolicy(Model):
    """How patient this settlement is. It travels with the start, so a replay never sees newer settings."""

    cancel_max_attempts: int
    """Attempts of one cancel in one round; then ABORTED."""
    cancel_initial_interval_s: float
    cancel_max_interval_s: float
    confirm_after_s: float
    """Quarantine before the confirming cancel; 0 turns the confirming cancel off."""
    expire_after_s: float
    """Age, counted from acceptance, from which an order is not sent any more."""


FACTOR = 2
"""By which each wait is longer than the one before."""
SHORTEST_WAIT_S = 1.0
"""Temporal waits no shorter before a retry (measured on Server 1.32). A shorter interval counts as this one from the
first wait on, so that the formula holds on any server."""


def first_wait_s(policy: SettlementPolicy) -> float:
    """Return the seconds between the end of the first attempt and the second one."""
    return max(SHORTEST_WAIT_S, policy.cancel_initial_interval_s)


def longest_wait_s(policy: SettlementPolicy) -> float:
    """Return the seconds beyond which no wait grows. A longest interval below the first one counts as the first one."""
    return max(first_wait_s(policy), policy.cancel_max_interval_s)


def waits_s(policy: SettlementPolicy) -> tuple[float, ...]:
    """Return the waits of one round in seconds, one fewer than it has attempts. Each counts from an attempt's end."""
    longest = longest_wait_s(policy)
    between = range(policy.cancel_max_attempts - 1)
    return tuple(accumulate(between, lambda wait, _: min(wait * FACTOR, longest), initial=first_wait_s(policy)))[
        : len(between)
    ]
