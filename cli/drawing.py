"""Draw results at a terminal: as tables if they fit its width, else as records. A value is never broken."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from cli.layout import PROSE_COLUMNS, PROSE_WIDTH_MIN, column_widths, unbreakable_width, wrap
from cli.rendering import Block, Fields, Lines, Row, Table, cell

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
"""Styles of cells that contain only this word."""
_RIGHT_ALIGNED = {
    "amount",
    "calls",
    "count",
    "differences",
    "external system's books",
    "HTTP",
    "id",
    "lines",
    "ms",
    "our ledger",
    "position",
    "retried",
    "rounds",
    "tm",
}
"""Columns of numbers, aligned to the right."""
_GAP, _INDENT = 2, 2


def draw(console: Console, block: Block) -> None:
    """Print a block in the width of the console. Values are printed as text, never as markup.

    A table that does not fit is printed without its empty columns. If it still does not fit, each row is printed as
    one record. A value that is wider than the terminal is printed in one piece, so that it can be copied and searched.
    """
    for renderable in _renderables(block, console.width):
        console.print(renderable, soft_wrap=isinstance(renderable, Text))


def draw_row(console: Console, row: Row, widths: Sequence[int]) -> None:
    """Print a row in columns of these widths. The last column is prose; it is wrapped beside or below the others."""
    line = Text()
    for value, width in zip(row, widths, strict=False):
        text = styled(value)
        text.pad_right(max(0, width - text.cell_len) + _GAP)
        line.append_text(text)
    remaining = console.width - line.cell_len
    last = cell(row[len(widths)])
    if cell_len(last) > remaining and unbreakable_width(last) > remaining:
        line.rstrip()
        line.append("\n" + " " * _INDENT)
        remaining = console.width - _INDENT
        indent = _INDENT
    else:
        indent = line.cell_len
    line.append(f"\n{' ' * indent}".join(wrap(last, remaining)))
    console.print(line, soft_wrap=True)


def styled(value: object) -> Text:
    """Return a value as text for a terminal, in its style if it has one."""
    return _coloured(cell(value))


def _coloured(text: str) -> Text:
    return Text(text, style=_STYLES.get(text, ""))


def _aligned(column: str, text: str, width: int) -> Text:
    """Return the text of a cell, padded on the left in a column of numbers; rich does not align uncut columns."""
    aligned = _coloured(text)
    if column in _RIGHT_ALIGNED:
        aligned.pad_left(max(0, width - aligned.cell_len))
    return aligned


def _renderables(block: Block, width: int) -> Iterator[RichTable | Text]:
    if isinstance(block, Lines):
        yield Text("\n".join(cell(line) for line in block.lines))
    elif isinstance(block, Fields):
        yield _record(block.rows, width)
    else:
        yield from _table_or_records(block, [[cell(value) for value in row] for row in block.rows], width)


def _table_or_records(block: Table, rows: list[list[str]], width: int) -> Iterator[RichTable | Text]:
    all_columns = list(range(len(block.columns)))
    filled_columns = [position for position in all_columns if any(row[position] for row in rows)]
    for shown in (all_columns, filled_columns):
        columns = [block.columns[position] for position in shown]
        texts = [[row[position] for position in shown] for row in rows]
        widths = column_widths(columns, texts, width)
        if widths is not None:
            yield _table(block.title, columns, texts, widths)
            return
    if block.title:
        yield Text(block.title, style="bold")
    records = [_record(list(zip(block.columns, row, strict=True)), width) for row in rows]
    yield Text("\n\n").join(records)


def _table(title: str, columns: list[str], rows: list[list[str]], widths: list[int]) -> RichTable:
    table = RichTable(title=title or None, title_justify="left", title_style="bold")
    for column, width in zip(columns, widths, strict=True):
        table.add_column(_aligned(column, column, width), no_wrap=True, overflow="ignore", width=width)
    for row in rows:
        table.add_row(
            *(
                _aligned(column, "\n".join(wrap(text, width)) if column in PROSE_COLUMNS else text, width)
                for column, text, width in zip(columns, row, widths, strict=True)
            )
        )
    return table


def _record(fields: Sequence[tuple[str, object]], width: int) -> Text:
    """Return names and values, one per line. A value that does not fit beside its name is put below it."""
    shown = [(name, styled(value)) for name, value in fields if cell(value)]
    name_width = max((cell_len(name) for name, _ in shown), default=0) + _GAP
    lines = [_field(name, value, name_width, width) for name, value in shown]
    return Text("\n").join(lines)


def _field(name: str, value: Text, name_width: int, width: int) -> Text:
    remaining = width - name_width
    line = Text(name, style="dim")
    fits = value.cell_len <= remaining
    is_prose = name in PROSE_COLUMNS
    if fits or (is_prose and unbreakable_width(value.plain) <= remaining >= PROSE_WIDTH_MIN):
        line.pad_right(name_width - line.cell_len)
        indent = name_width
    else:
        indent = _INDENT if unbreakable_width(value.plain) + _INDENT <= width else 0
        line.append("\n" + " " * indent)
    if fits or not is_prose:
        return line.append_text(value)
    return line.append(f"\n{' ' * indent}".join(wrap(value.plain, width - indent)))
