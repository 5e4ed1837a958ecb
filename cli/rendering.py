"""The parts of a result, and their plain text for pipes and scripts. `cli.drawing` draws them for a terminal."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

Row = Sequence[object]

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, including tabs and line breaks; characters that change the writing direction; surrogates."""


@dataclass(frozen=True)
class Fields:
    """Names with their values. Plain text contains every name; a terminal shows only names with a value."""

    rows: Sequence[tuple[str, object]]


@dataclass(frozen=True)
class Table:
    """Rows under columns. The columns never depend on the data, so scripts can rely on them."""

    columns: Sequence[str]
    rows: Iterable[Row]
    title: str = ""


@dataclass(frozen=True)
class Lines:
    """Lines of text."""

    lines: Sequence[object]


Block = Fields | Table | Lines


def plain(block: Block) -> Iterator[str]:
    """Yield the block as plain lines: cells separated by tabs; a table starts with its column names."""
    if isinstance(block, Lines):
        yield from (cell(line) for line in block.lines)
        return
    if isinstance(block, Table):
        yield plain_row(block.columns)
    for row in block.rows:
        yield plain_row(row)


def plain_row(row: Row) -> str:
    """Return a row as one line, its cells separated by tabs."""
    return "\t".join(cell(value) for value in row)


def cell(value: object) -> str:
    """Return a value as text for a cell: empty for None, UTC with milliseconds for a datetime, else its safe text."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return timestamp(value)
    return clean(str(value))


def clean(text: str) -> str:
    r"""Return the text with unsafe characters written as escapes, so that it cannot control a terminal.

    For example, a line break becomes the two characters \n.
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def timestamp(at: datetime) -> str:
    """Return a time in UTC with milliseconds, such as 2026-01-05T03:10:00.000Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def counts(by_name: Iterable[tuple[str, int]]) -> str:
    """Return counts in one line, such as "CANCELLED 3, ABORTED 1", without those that are zero."""
    return ", ".join(f"{name} {count}" for name, count in by_name if count)
