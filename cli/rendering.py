"""What results are made of, and how each looks in plain lines, for programs. `cli.drawing` draws them for people."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cli.text import cell

Row = Sequence[object]


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
