"""The orders of `make demo`: what the external system does to each, and how each must end."""

import json
from dataclasses import dataclass
from enum import Enum, auto

from settlement.states import CancelResult, State


class OperatorStep(Enum):
    """What a person does about an order whose compensation was aborted."""

    NOBODY = auto()
    OPERATOR_RETRIES = auto()
    BROKER_REVERSES_AND_OPERATOR_RESOLVES = auto()


@dataclass(frozen=True)
class DemoOrder:
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
    hand: OperatorStep = OperatorStep.NOBODY

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


def demo_orders(max_attempts: int, lands_after_s: float) -> list[DemoOrder]:
    """Return the orders that are posted while everything runs."""
    reversed_, not_applied, never = CancelResult
    cancelled = State.CANCELLED
    return [
        DemoOrder("01", "applies it", "100.00", State.SETTLED),
        DemoOrder("02", "applies it, a deduction", "-20.00", State.SETTLED),
        DemoOrder("03", "rejects", "30.00", cancelled, not_applied, "reject"),
        DemoOrder("04", "receives, never answers", "40.00", cancelled, not_applied, "hang"),
        DemoOrder("05", "never receives it", "50.00", cancelled, never, "never_received"),
        DemoOrder("06", "applies it, the reply is lost", "60.00", cancelled, reversed_, "hang_applied"),
        DemoOrder("07", "applies it, replies in HTML", "70.00", cancelled, reversed_, "html_page"),
        DemoOrder("08", "replies code 0 and ok=false", "80.00", cancelled, reversed_, "contradictory"),
        DemoOrder(
            *("09", "gets it late and refuses it", "90.00", cancelled, not_applied, "land_late"),
            lands_after_s=lands_after_s,
        ),
        DemoOrder(
            *("10", "gets it late and applies it", "110.00", cancelled, reversed_, "land_late_unguarded"),
            lands_after_s=lands_after_s,
        ),
        DemoOrder(
            "11", "fails the cancel, then does it", "120.00", cancelled, reversed_, "hang_applied", max_attempts - 1
        ),
        DemoOrder(
            *("12", "fails every cancel; retried", "130.00", cancelled, reversed_, "reset_applied"),
            cancel_fails=max_attempts,
            hand=OperatorStep.OPERATOR_RETRIES,
        ),
        DemoOrder(
            *("13", "fails every cancel; resolved", "140.00", State.RESOLVED, None, "cut"),
            cancel_fails=max_attempts,
            hand=OperatorStep.BROKER_REVERSES_AND_OPERATOR_RESOLVES,
        ),
        DemoOrder(
            *("14", "fails every cancel; left open", "150.00", State.ABORTED, None, "http_500_applied"),
            cancel_fails=max_attempts,
        ),
    ]


EXPIRES = DemoOrder("15", "never gets it: no worker ran", "160.00", State.EXPIRED)
