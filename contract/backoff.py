"""How long a cancel waits between two attempts: the one formula, for the plan, the audit and the explanation.

The plan hands it to Temporal as a RetryPolicy, the audit counts by it how many attempts there was time for, and
`explain` says by it when a round ends at the latest.
"""

from itertools import accumulate

from contract.payloads import SettlementPolicy

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
