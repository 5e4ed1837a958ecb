"""The end of `make demo`: what happened to each order, and where the money stands on both sides."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.console import Console

from cli.drawing import draw
from cli.rendering import Row, Table
from settlement.states import State
from stack.demo_orders import DemoOrder
from stack.process import StackError

_COLUMNS = (
    "settlement",
    "the external system …",
    "amount",
    "state",
    "decision",
    "cancelResult",
    "calls",
    "its books say",
)


@dataclass(frozen=True)
class DemoResult:
    """One order at the end: our view of it and the external system's."""

    demo_order: DemoOrder
    ours: dict[str, Any]
    theirs: dict[str, Any]

    @property
    def amount(self) -> Decimal:
        """The amount as a number; only for adding up, never sent anywhere."""
        return Decimal(self.demo_order.amount)

    @property
    def held(self) -> bool:
        """Whether the external system's books hold the amount now."""
        return bool(self.theirs["state"] == "APPLIED")

    @property
    def left_open(self) -> bool:
        """Whether an operator must still act."""
        return self.demo_order.ends is State.ABORTED

    def check(self) -> None:
        """Raise StackError if it did not end as it must, here or there."""
        expected = (self.demo_order.ends, self.demo_order.cancel_result)
        if (self.ours["state"], self.ours["cancelResult"]) != expected:
            message = (
                f"order {self.demo_order.key} ended {self.ours['state']} {self.ours['cancelResult']}, not {expected}"
            )
            raise StackError(message)
        if max(self.theirs["timesApplied"], self.theirs["timesReversed"]) > 1:
            message = f"order {self.demo_order.key} was applied or reversed more than once there"
            raise StackError(message)
        if self.held is not (self.demo_order.ends in {State.SETTLED, State.ABORTED}):
            message = f"order {self.demo_order.key} is {self.ours['state']} here and {self.theirs['state']} there"
            raise StackError(message)


def print_report(console: Console, told: list[DemoResult], balance: Decimal) -> None:
    """Print both tables; StackError if the two sides do not agree."""
    settled, in_doubt = _total(told, State.SETTLED), _total(told, State.ABORTED)
    money = [("settled", settled, ""), ("aborted, in doubt", in_doubt, ""), ("sum", settled + in_doubt, balance)]
    for table in (
        Table(_COLUMNS, [_order(each) for each in told], "what happened to each order"),
        Table(("USD", "our ledger", "external system's books"), money, "where the money stands"),
    ):
        console.print()
        draw(console, table)
    for each in told:
        each.check()
    if settled + in_doubt != balance:
        message = f"the books disagree: {settled} + {in_doubt} here, {balance} there"
        raise StackError(message)
    console.print("[green]Both sides agree on every order and on the sum.[/]")


def _order(told: DemoResult) -> Row:
    """Return an order's row under `_COLUMNS`."""
    return (
        told.ours["requestUniqueNo"],
        told.demo_order.title,
        told.demo_order.amount,
        told.ours["state"],
        told.ours["decision"],
        told.ours["cancelResult"],
        len(told.ours["calls"]),
        told.theirs["state"],
    )


def _total(told: list[DemoResult], state: State) -> Decimal:
    return sum((each.amount for each in told if each.demo_order.ends is state), Decimal(0))
