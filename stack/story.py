"""The orders of `make demo`: what the external system does to each, and how each must end."""

import json
from dataclasses import dataclass
from enum import Enum, auto

from contract.states import CancelResult, State


class Hand(Enum):
    """What a person does about an order whose compensation was aborted."""

    NOBODY = auto()
    OPERATOR_RETRIES = auto()
    BROKER_REVERSES_AND_OPERATOR_RESOLVES = auto()


@dataclass(frozen=True)
class Chapter:
    """One order of the story."""

    key: str
    title: str
    amount: str
    ends: State
    cancel_result: CancelResult | None = None
    adjust: str | None = None
    """The simulator's fault for the adjust; None: it behaves."""
    cancel_fails: int = 0
    """How often cancel adjust is answered with HTTP 500."""
    lands_after_s: float | None = None
    hand: Hand = Hand.NOBODY

    @property
    def metadata(self) -> str | None:
        """The adjust's metadata, by which the simulator knows what to do."""
        faults: dict[str, str | int | float] = {}
        if self.adjust:
            faults["adjust"] = self.adjust
        if self.cancel_fails:
            faults |= {"cancel": "fail", "times": self.cancel_fails}
        if self.lands_after_s:
            faults["seconds"] = self.lands_after_s
        return json.dumps({"simulate": faults}, separators=(",", ":")) if faults else None


def chapters(max_attempts: int, lands_after_s: float) -> list[Chapter]:
    """Return the orders that are posted while everything runs."""
    reversed_, not_applied, never = CancelResult
    cancelled = State.CANCELLED
    return [
        Chapter("01", "applies it", "100.00", State.SETTLED),
        Chapter("02", "applies it, a deduction", "-20.00", State.SETTLED),
        Chapter("03", "rejects", "30.00", cancelled, not_applied, "reject"),
        Chapter("04", "receives, never answers", "40.00", cancelled, not_applied, "hang"),
        Chapter("05", "never receives it", "50.00", cancelled, never, "never_received"),
        Chapter("06", "applies it, the reply is lost", "60.00", cancelled, reversed_, "hang_applied"),
        Chapter("07", "applies it, replies in HTML", "70.00", cancelled, reversed_, "html_page"),
        Chapter("08", "replies code 0 and ok=false", "80.00", cancelled, reversed_, "contradictory"),
        Chapter(
            *("09", "gets it late and refuses it", "90.00", cancelled, not_applied, "land_late"),
            lands_after_s=lands_after_s,
        ),
        Chapter(
            *("10", "gets it late and applies it", "110.00", cancelled, reversed_, "land_late_unguarded"),
            lands_after_s=lands_after_s,
        ),
        Chapter(
            "11", "fails the cancel, then does it", "120.00", cancelled, reversed_, "hang_applied", max_attempts - 1
        ),
        Chapter(
            *("12", "fails every cancel; retried", "130.00", cancelled, reversed_, "reset_applied"),
            cancel_fails=max_attempts,
            hand=Hand.OPERATOR_RETRIES,
        ),
        Chapter(
            *("13", "fails every cancel; resolved", "140.00", State.RESOLVED, None, "cut"),
            cancel_fails=max_attempts,
            hand=Hand.BROKER_REVERSES_AND_OPERATOR_RESOLVES,
        ),
        Chapter(
            *("14", "fails every cancel; left open", "150.00", State.ABORTED, None, "http_500_applied"),
            cancel_fails=max_attempts,
        ),
    ]


EXPIRES = Chapter("15", "never gets it: no worker ran", "160.00", State.EXPIRED)
