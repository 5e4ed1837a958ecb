"""The report at the end of `make demo`: the end of each order, and the money in the ledger and at the broker."""

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
    """One order at the end of the demo."""

    demo_order: DemoOrder
    settlement: dict[str, Any]
    """The settlement as the API shows it."""
    broker_number: dict[str, Any]
    """The adjust number as the simulator's books show it."""

    @property
    def amount(self) -> Decimal:
        """The amount as a number, for sums only; it is never sent."""
        return Decimal(self.demo_order.amount)

    @property
    def applied_at_broker(self) -> bool:
        """Whether the adjust is applied in the broker's books and not reversed."""
        return bool(self.broker_number["state"] == "APPLIED")

    @property
    def needs_operator(self) -> bool:
        """Whether an operator must still act."""
        return self.demo_order.expected_state is State.ABORTED

    def check(self) -> None:
        """Raise StackError if the order did not end as expected in the ledger or at the broker."""
        order, ended = self.demo_order, (self.settlement["state"], self.settlement["cancelResult"])
        expected = (order.expected_state, order.expected_cancel_result)
        if ended != expected:
            message = f"order {order.key} ended {ended}, not {expected}"
            raise StackError(message)
        if max(self.broker_number["timesApplied"], self.broker_number["timesReversed"]) > 1:
            message = f"order {order.key} was applied or reversed more than once at the broker"
            raise StackError(message)
        if self.applied_at_broker is not (order.expected_state in {State.SETTLED, State.ABORTED}):
            message = f"order {order.key} is {ended[0]} in the ledger and {self.broker_number['state']} at the broker"
            raise StackError(message)


def print_report(console: Console, results: list[DemoResult], balance: Decimal) -> None:
    """Print both tables; raise StackError if ledger and broker do not agree.

    `balance` is the customer's balance in the broker's books.
    """
    settled, in_doubt = _total(results, State.SETTLED), _total(results, State.ABORTED)
    money = [("settled", settled, ""), ("aborted, in doubt", in_doubt, ""), ("sum", settled + in_doubt, balance)]
    for table in (
        Table(_COLUMNS, [_row(result) for result in results], "what happened to each order"),
        Table(("USD", "our ledger", "external system's books"), money, "where the money stands"),
    ):
        console.print()
        draw(console, table)
    for result in results:
        result.check()
    if settled + in_doubt != balance:
        message = f"the sums differ: {settled} + {in_doubt} in the ledger, {balance} at the broker"
        raise StackError(message)
    console.print("[green]Both sides agree on every order and on the sum.[/]")


def _row(result: DemoResult) -> Row:
    """Return the row of one order, in the order of `_COLUMNS`."""
    return (
        result.settlement["requestUniqueNo"],
        result.demo_order.title,
        result.demo_order.amount,
        result.settlement["state"],
        result.settlement["decision"],
        result.settlement["cancelResult"],
        len(result.settlement["calls"]),
        result.broker_number["state"],
    )


def _total(results: list[DemoResult], state: State) -> Decimal:
    return sum((each.amount for each in results if each.demo_order.expected_state is state), Decimal(0))
