"""The end of `make demo`: what happened to each order, and where the money stands on both sides."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table

from contract.states import State
from stack.process import StackError
from stack.story import Chapter

_COLOURS = {State.SETTLED: "green", State.ABORTED: "red", State.RESOLVED: "yellow", State.EXPIRED: "blue"}


@dataclass(frozen=True)
class Told:
    """One order at the end: our view of it and the external system's."""

    chapter: Chapter
    ours: dict[str, Any]
    theirs: dict[str, Any]

    @property
    def amount(self) -> Decimal:
        """The amount as a number; only for adding up, never sent anywhere."""
        return Decimal(self.chapter.amount)

    @property
    def held(self) -> bool:
        """Whether the external system's books hold the amount now."""
        return bool(self.theirs["state"] == "APPLIED")

    @property
    def left_open(self) -> bool:
        """Whether an operator must still act."""
        return self.chapter.ends is State.ABORTED

    def check(self) -> None:
        """Raise StackError if it did not end as it must, here or there."""
        expected = (self.chapter.ends, self.chapter.cancel_result)
        if (self.ours["state"], self.ours["cancelResult"]) != expected:
            message = f"order {self.chapter.key} ended {self.ours['state']} {self.ours['cancelResult']}, not {expected}"
            raise StackError(message)
        if max(self.theirs["timesApplied"], self.theirs["timesReversed"]) > 1:
            message = f"order {self.chapter.key} was applied or reversed more than once there"
            raise StackError(message)
        if self.held is not (self.chapter.ends in {State.SETTLED, State.ABORTED}):
            message = f"order {self.chapter.key} is {self.ours['state']} here and {self.theirs['state']} there"
            raise StackError(message)


def print_report(console: Console, told: list[Told], balance: Decimal) -> None:
    """Print both tables; StackError if the two sides do not agree."""
    console.print(_orders(told))
    settled = _total(told, State.SETTLED)
    in_doubt = _total(told, State.ABORTED)
    money = Table(title="where the money stands (USD)", title_justify="left")
    for column in ("our ledger", "external system's books"):
        money.add_column(column, justify="right")
    money.add_row(f"settled {settled:>9}", "")
    money.add_row(f"aborted, in doubt {in_doubt:>9}", "")
    money.add_row(f"[bold]{settled + in_doubt:>9}", f"[bold]{balance:>9}")
    console.print(money)
    for each in told:
        each.check()
    if settled + in_doubt != balance:
        message = f"the books disagree: {settled} + {in_doubt} here, {balance} there"
        raise StackError(message)
    console.print("[green]Both sides agree on every order and on the sum.[/]")


def _orders(told: list[Told]) -> Table:
    table = Table(title="\nwhat happened to each order", title_justify="left")
    for column in (
        "settlement",
        "the external system …",
        "amount",
        "state",
        "decision",
        "cancelResult",
        "calls",
        "its books say",
    ):
        table.add_column(column, justify="right" if column in {"amount", "calls"} else "left", no_wrap=True)
    for each in told:
        state = State(each.ours["state"])
        colour = _COLOURS.get(state, "default")
        table.add_row(
            each.ours["requestUniqueNo"],
            each.chapter.title,
            each.chapter.amount,
            f"[{colour}]{state}[/]",
            each.ours["decision"],
            each.ours["cancelResult"] or "",
            str(len(each.ours["calls"])),
            each.theirs["state"],
        )
    return table


def _total(told: list[Told], state: State) -> Decimal:
    return sum((each.amount for each in told if each.chapter.ends is state), Decimal(0))
