"""What a network can do to one exchange, and how often it does."""

import random
from collections import Counter
from enum import StrEnum
from typing import NamedTuple


class NetworkFault(StrEnum):
    """What befalls one request or its reply between two machines."""

    NONE = "NONE"
    RESET_REQUEST = "RESET_REQUEST"
    """The connection is reset after some bytes of the request."""
    RESET_REPLY = "RESET_REPLY"
    """The request arrives; the connection is reset after some bytes of the reply."""
    LOSE_REQUEST = "LOSE_REQUEST"
    """A black hole: taken from the sender, and never seen again."""
    LOSE_REPLY = "LOSE_REPLY"
    """The request arrives, and the reply goes into the black hole."""
    DELAY_REQUEST = "DELAY_REQUEST"
    """The request arrives some seconds later, even if its sender has given up meanwhile."""
    DELAY_REPLY = "DELAY_REPLY"
    DRIP = "DRIP"
    """The reply comes byte by byte."""
    CUT = "CUT"
    """The reply ends in the middle, in good order."""
    DUPLICATE = "DUPLICATE"
    """The request arrives at once, and some seconds later once more."""


FAULTS = tuple(fault for fault in NetworkFault if fault is not NetworkFault.NONE)

SECONDS_MIN, SECONDS_MAX = 0.2, 5.0
"""Delays on both sides of the 3 seconds."""


class Mishap(NamedTuple):
    """What befalls one exchange, exactly."""

    fault: NetworkFault = NetworkFault.NONE
    at: float = 0.0
    """Where a message breaks off: the part of its bytes that still gets through, 0 up to but not including 1."""
    seconds: float = 0.0


CLEAR = Mishap()


class Weather:
    """Draws what befalls each exchange; the same seed draws the same sequence."""

    def __init__(self, seed: int, share: float) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - repeatable is the point
        self.share = share
        """Of the exchanges that something befalls, 0 to 1."""
        self.met: Counter[NetworkFault] = Counter()
        """What has befallen how many exchanges."""

    def next(self) -> Mishap:
        """Draw what befalls the next exchange."""
        mishap = CLEAR
        if self._rng.random() < self.share:
            seconds = self._rng.uniform(SECONDS_MIN, SECONDS_MAX)
            mishap = Mishap(self._rng.choice(FAULTS), self._rng.random(), seconds)
        self.met[mishap.fault] += 1
        return mishap
