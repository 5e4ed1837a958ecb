"""The orders of `make demo`: what the external system does with each, and how each must end."""

import json
from dataclasses import dataclass
from enum import Enum, auto

from settlement.states import CancelResult, State


class OperatorStep(Enum):
    """What an operator does about an ABORTED order of the demo."""

    NONE = auto()
    OPERATOR_RETRIES = auto()
    BROKER_REVERSES_AND_OPERATOR_RESOLVES = auto()


@dataclass(frozen=True)
class DemoOrder:
    """One order of the demo."""

    key: str
    """The last part of its requestUniqueNo, and its orderId."""
    title: str
    """What the external system does with it."""
    amount: str
    expected_state: State
    expected_cancel_result: CancelResult | None = None
    adjust_fault: str | None = None
    """The simulator's fault for the adjust; None: no fault."""
    cancel_failures: int = 0
    """How many cancel requests are answered with HTTP 500."""
    delay_s: float | None = None
    """After how many seconds the simulator receives the adjust, for the faults that delay it."""
    operator_step: OperatorStep = OperatorStep.NONE

    @property
    def metadata(self) -> str | None:
        """The adjust's metadata, which tells the simulator which faults to apply; None if there are none."""
        faults: dict[str, str | int | float] = {}
        if self.adjust_fault:
            faults["adjust"] = self.adjust_fault
        if self.cancel_failures:
            faults |= {"cancel": "fail", "times": self.cancel_failures}
        if self.delay_s:
            faults["seconds"] = self.delay_s
        return json.dumps({"simulate": faults}, separators=(",", ":")) if faults else None


def demo_orders(cancel_attempts_max: int, delay_s: float) -> list[DemoOrder]:
    """Return the orders that are posted while all parts run."""
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
        DemoOrder("09", "gets it late and refuses it", "90.00", cancelled, not_applied, "land_late", delay_s=delay_s),
        DemoOrder(
            "10", "gets it late and applies it", "110.00", cancelled, reversed_, "land_late_unguarded", delay_s=delay_s
        ),
        DemoOrder(
            *("11", "fails the cancel, then does it", "120.00", cancelled, reversed_, "hang_applied"),
            cancel_failures=cancel_attempts_max - 1,
        ),
        DemoOrder(
            *("12", "fails every cancel; retried", "130.00", cancelled, reversed_, "reset_applied"),
            cancel_failures=cancel_attempts_max,
            operator_step=OperatorStep.OPERATOR_RETRIES,
        ),
        DemoOrder(
            *("13", "fails every cancel; resolved", "140.00", State.RESOLVED, None, "cut"),
            cancel_failures=cancel_attempts_max,
            operator_step=OperatorStep.BROKER_REVERSES_AND_OPERATOR_RESOLVES,
        ),
        DemoOrder(
            *("14", "fails every cancel; left open", "150.00", State.ABORTED, None, "http_500_applied"),
            cancel_failures=cancel_attempts_max,
        ),
    ]


EXPIRED_ORDER = DemoOrder("15", "never gets it: no worker ran", "160.00", State.EXPIRED)
"""Posted while no worker runs."""
