"""How results look at a terminal: as tables where they fit its width, else as records; no value is ever broken."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from cli.layout import PROSE, PROSE_WIDTH_MIN, fitted, longest_piece, wrapped
from cli.rendering import Block, Fields, Lines, Row, Table
from cli.text import cell

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
_TO_THE_RIGHT = {
    "amount",
    "calls",
    "count",
    "external system's books",
    "HTTP",
    "id",
    "ms",
    "our ledger",
    "position",
    "retried",
    "rounds",
    "tm",
}
"""Columns of numbers."""
_GAP, _INDENT = 2, 2


def draw(console: Console, block: Block) -> None:
    """Print a block for a person, in the console's width. Values are text and never markup.

    A table that does not fit is printed without its empty columns; if it still does not fit, as one record for each
    row. A single value that is wider than the terminal is printed in one piece: the terminal folds it, and it can
    still be copied and searched.
    """
    for what in _pretty(block, console.width):
        console.print(what, soft_wrap=isinstance(what, Text))


def draw_row(console: Console, row: Row, widths: Sequence[int]) -> None:
    """Print a row as one line of columns of given widths; the last one is prose, wrapped beside or beneath them."""
    line = Text()
    for value, width in zip(row, widths, strict=False):
        text = styled(value)
        text.pad_right(max(0, width - text.cell_len) + _GAP)
        line.append_text(text)
    left = console.width - line.cell_len
    last = cell(row[len(widths)])
    if cell_len(last) > left and longest_piece(last) > left:
        line.rstrip()
        line.append("\n" + " " * _INDENT)
        left = console.width - _INDENT
        indent = _INDENT
    else:
        indent = line.cell_len
    line.append(f"\n{' ' * indent}".join(wrapped(last, left)))
    console.print(line, soft_wrap=True)


def styled(value: object) -> Text:
    """Return a value for a terminal, in its colour if it is one of the words that have one."""
    return _coloured(cell(value))


def _coloured(text: str) -> Text:
    return Text(text, style=_STYLES.get(text, ""))


def _aligned(column: str, text: str, width: int) -> Text:
    """Return a cell's text, to the right where the column wants it: rich aligns nothing that it must not cut."""
    aligned = _coloured(text)
    if column in _TO_THE_RIGHT:
        aligned.pad_left(max(0, width - aligned.cell_len))
    return aligned


def _pretty(block: Block, width: int) -> Iterator[RichTable | Text]:
    if isinstance(block, Lines):
        yield Text("\n".join(cell(line) for line in block.lines))
    elif isinstance(block, Fields):
        yield _record(block.rows, width)
    else:
        yield from _table_or_records(block, [[cell(value) for value in row] for row in block.rows], width)


def _table_or_records(block: Table, rows: list[list[str]], width: int) -> Iterator[RichTable | Text]:
    every = list(range(len(block.columns)))
    filled = [position for position in every if any(row[position] for row in rows)]
    for shown in (every, filled):
        columns = [block.columns[position] for position in shown]
        texts = [[row[position] for position in shown] for row in rows]
        widths = fitted(columns, texts, width)
        if widths is not None:
            yield _table(block.title, columns, texts, widths)
            return
    if block.title:
        yield Text(block.title, style="bold")
    records = [_record(list(zip(block.columns, row, strict=True)), width) for row in rows]
    yield Text("\n\n").join(records)


def _table(title: str, columns: list[str], rows: list[list[str]], widths: list[int]) -> RichTable:
    table = RichTable(title=title or None, title_justify="left", title_style="bold")
    for column, cells in zip(columns, widths, strict=True):
        table.add_column(_aligned(column, column, cells), no_wrap=True, overflow="ignore", width=cells)
    for row in rows:
        table.add_row(
            *(
                _aligned(column, "\n".join(wrapped(text, cells)) if column in PROSE else text, cells)
                for column, text, cells in zip(columns, row, widths, strict=True)
            )
        )
    return table


def _record(fields: Sequence[tuple[str, object]], width: int) -> Text:
    """Return names with their values, one below the other; a value that does not fit beside its name, beneath it."""
    shown = [(name, styled(value)) for name, value in fields if cell(value)]
    beside = max((cell_len(name) for name, _ in shown), default=0) + _GAP
    lines = [_field(name, value, beside, width) for name, value in shown]
    return Text("\n").join(lines)


def _field(name: str, value: Text, beside: int, width: int) -> Text:
    left = width - beside
    line = Text(name, style="dim")
    fits = value.cell_len <= left
    if fits or (name in PROSE and longest_piece(value.plain) <= left >= PROSE_WIDTH_MIN):
        line.pad_right(beside - line.cell_len)
        indent = beside
    else:
        indent = _INDENT if longest_piece(value.plain) + _INDENT <= width else 0
        line.append("\n" + " " * indent)
    if fits or name not in PROSE:
        return line.append_text(value)
    return line.append(f"\n{' ' * indent}".join(wrapped(value.plain, width - indent)))
