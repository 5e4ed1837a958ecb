"""Faults of the network in one exchange, and a seeded sequence of them."""

import random
from collections import Counter
from enum import StrEnum
from typing import NamedTuple


class NetworkFault(StrEnum):
    """A fault of one request or its reply."""

    NONE = "NONE"
    RESET_REQUEST = "RESET_REQUEST"
    """The connection is reset after some bytes of the request."""
    RESET_REPLY = "RESET_REPLY"
    """The request arrives; the connection is reset after some bytes of the reply."""
    LOSE_REQUEST = "LOSE_REQUEST"
    """The request is accepted and never delivered."""
    LOSE_REPLY = "LOSE_REPLY"
    """The request arrives; the reply is never delivered."""
    DELAY_REQUEST = "DELAY_REQUEST"
    """The request arrives some seconds later, even if its sender has disconnected."""
    DELAY_REPLY = "DELAY_REPLY"
    DRIP = "DRIP"
    """The reply arrives byte by byte."""
    CUT = "CUT"
    """The connection is closed normally in the middle of the reply."""
    DUPLICATE = "DUPLICATE"
    """The request arrives at once, and again some seconds later."""


FAULTS = tuple(fault for fault in NetworkFault if fault is not NetworkFault.NONE)

SECONDS_MIN, SECONDS_MAX = 0.2, 5.0
"""Delays below and above the 3 seconds of the contract."""


class PlannedFault(NamedTuple):
    """The fault of one exchange, with its parameters."""

    fault: NetworkFault = NetworkFault.NONE
    at: float = 0.0
    """Share of the bytes that are delivered before a message is cut, 0 <= at < 1."""
    seconds: float = 0.0


NO_FAULT = PlannedFault()


class NetworkFaults:
    """Draws the fault of each exchange. The same seed draws the same sequence."""

    def __init__(self, seed: int, share: float) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - repeatable is the point
        self.share = share
        """Share of the exchanges with a fault, 0 to 1."""
        self.counts: Counter[NetworkFault] = Counter()
        """Number of exchanges by fault."""

    def next(self) -> PlannedFault:
        """Draw the fault of the next exchange."""
        planned = NO_FAULT
        if self._rng.random() < self.share:
            seconds = self._rng.uniform(SECONDS_MIN, SECONDS_MAX)
            planned = PlannedFault(self._rng.choice(FAULTS), self._rng.random(), seconds)
        self.counts[planned.fault] += 1
        return planned
