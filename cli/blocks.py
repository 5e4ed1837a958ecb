"""What results are made of, and how each looks: as plain lines for programs, as tables for people."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table as RichTable
from rich.text import Text

from cli.text import cell

Row = Sequence[object]

_STYLES = {
    "SETTLED": "green",
    "PROCEED": "bold green",
    "VOID": "bold",
    "ABORTED": "bold red",
    "CANCELLING": "yellow",
    "RESOLVED": "yellow",
    "EXPIRED": "blue",
    "UNKNOWN": "yellow",
    "OPEN": "bold red",
    "FAILED": "red",
    "REFUSED": "red",
}
"""Words that stand out where they fill a cell."""
_TO_THE_RIGHT = {"amount", "count", "ms", "position", "retried", "rounds", "HTTP", "id", "tm"}
"""Columns of numbers. (Those of moments, whose names end in "at", are never folded.)"""


@dataclass(frozen=True)
class Fields:
    """Names with their values. Plain, every name is there; for people, only those with a value."""

    rows: Sequence[tuple[str, object]]


@dataclass(frozen=True)
class Table:
    """Rows under columns. The columns are always the same, so that a program can count on them."""

    columns: Sequence[str]
    rows: Iterable[Row]
    title: str = ""


@dataclass(frozen=True)
class Lines:
    """Sentences."""

    lines: Sequence[object]


Block = Fields | Table | Lines


def plain(block: Block) -> Iterator[str]:
    """Return the block's lines: cells separated by tabs, a table's columns first."""
    if isinstance(block, Lines):
        yield from (cell(line) for line in block.lines)
        return
    if isinstance(block, Table):
        yield plain_row(block.columns)
    for row in block.rows:
        yield plain_row(row)


def plain_row(row: Row) -> str:
    """Return a row as one line."""
    return "\t".join(cell(value) for value in row)


def pretty(block: Block) -> RichTable | Text:
    """Return the block for a terminal. Values are text and never markup."""
    if isinstance(block, Lines):
        return Text("\n".join(cell(line) for line in block.lines))
    return _grid(block) if isinstance(block, Fields) else _table(block)


def pretty_row(row: Row, widths: Sequence[int]) -> Text:
    """Return a row as one line of columns of given widths; the last one is as wide as it needs."""
    line = Text()
    for position, value in enumerate(row):
        text = styled(value)
        if position < len(widths):
            text.pad_right(max(0, widths[position] - len(text)) + 2)
        line.append_text(text)
    return line


def styled(value: object) -> Text:
    """Return a value for a terminal, in its colour if it is one of the words that have one."""
    text = cell(value)
    return Text(text, style=_STYLES.get(text, ""))


def _grid(block: Fields) -> RichTable:
    grid = RichTable.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in block.rows:
        if value not in (None, ""):
            grid.add_row(Text(name), styled(value))
    return grid


def _table(block: Table) -> RichTable:
    table = RichTable(title=block.title or None, title_justify="left", title_style="bold")
    for column in block.columns:
        table.add_column(
            column,
            justify="right" if column in _TO_THE_RIGHT else "left",
            overflow="fold",
            no_wrap=column.lower().endswith("at"),
        )
    for row in block.rows:
        table.add_row(*(styled(value) for value in row))
    return table
