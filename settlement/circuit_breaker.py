"""The state of a circuit breaker, as workers report it and the API shows it."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Self

from contract.model import Model

REPORT_VALID_S = 30.0
"""A worker's report counts for this long: then the worker has ended, or it cannot reach the ledger."""


class BreakerState(StrEnum):
    """The state of the circuit breaker of one external system in one worker process, from good to bad."""

    CLOSED = "CLOSED"
    """Calls are sent."""
    HALF_OPEN = "HALF_OPEN"
    """One call at a time is sent, the probe. It closes the breaker if it gets a correct reply."""
    OPEN = "OPEN"
    """Adjusts are not sent, and cancels at a low rate."""


BREAKER_LEVEL = {state: level for level, state in enumerate(BreakerState)}
"""The state as a number: 0 is closed, 1 half-open, 2 open. Also the value of the metric."""


class BreakerReport(Model):
    """What one worker process reports of the circuit breaker of one external system."""

    state: BreakerState
    since: datetime


class BreakerStatus(Model):
    """The circuit breakers of one external system over all worker processes that reported in the last 30 s."""

    state: BreakerState | None
    """The worst state; null if no worker has reported."""
    since: datetime | None
    """When the first worker entered that state; null if no worker has reported."""
    workers: int
    """Workers that have reported."""
    workers_half_open: int
    workers_open: int

    @classmethod
    def of(cls, reports: Iterable[BreakerReport]) -> Self:
        """Return the status for the valid reports of all workers."""
        every = tuple(reports)
        worst = max((each.state for each in every), key=BREAKER_LEVEL.__getitem__, default=None)
        return cls(
            state=worst,
            since=min((each.since for each in every if each.state is worst), default=None),
            workers=len(every),
            workers_half_open=sum(each.state is BreakerState.HALF_OPEN for each in every),
            workers_open=sum(each.state is BreakerState.OPEN for each in every),
        )
