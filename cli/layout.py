"""Fit text into the width of a terminal. Only prose is wrapped, between words; other values are never broken."""

import re
from collections.abc import Sequence

from rich.cells import cell_len

PROSE_COLUMNS = frozenset(
    {
        "action",
        "brokerMessage",
        "brokerReference",
        "companies",
        "data",
        "detail",
        "metadata",
        "msg",
        "msgParams",
        "note",
        "outcomes",
        "reason",
        "repair",
        "selection",
        "states",
        "the external system …",
        "what happened",
    }
)
"""Columns and fields that contain sentences. A value of any other column stays in one piece at every width."""

PROSE_WIDTH_MIN = 24
"""Minimum width of a column of prose that is longer than this; a narrower column would make its rows too high."""
_WIDE = "\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6"
_PIECES = re.compile(f"[{_WIDE}] *|[^\\s{_WIDE}]+ *| +")
"""The parts between which a line may be broken: words, and characters of scripts that are written without spaces."""
_TABLE_EDGE, _CELL_PADDING_AND_EDGE = 1, 3


def unbreakable_width(text: str) -> int:
    """Return the width, in terminal cells, of the longest part of a text that must not be broken."""
    return max((cell_len(piece.rstrip()) for piece in _PIECES.findall(text)), default=0)


def wrap(text: str, width: int) -> list[str]:
    """Return the text in lines of at most `width` cells. A longer part gets its own line and is not broken."""
    lines = [""]
    for piece in _PIECES.findall(text):
        if lines[-1] and cell_len(lines[-1]) + cell_len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def column_widths(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Return the width of each column of a table in a terminal of this width; None if the table cannot fit."""
    available = width - _TABLE_EDGE - _CELL_PADDING_AND_EDGE * len(columns)
    texts = [[column, *(row[position] for row in rows)] for position, column in enumerate(columns)]
    widths = [max(map(cell_len, each)) for each in texts]
    minimum = [
        max(min(widest, PROSE_WIDTH_MIN), *map(unbreakable_width, each)) if column in PROSE_COLUMNS else widest
        for column, widest, each in zip(columns, widths, texts, strict=True)
    ]
    if sum(minimum) > available:
        return None
    while sum(widths) > available:
        # Shrink the widest column that is above its minimum.
        _, position = max((cells, each) for each, cells in enumerate(widths) if cells > minimum[each])
        widths[position] -= 1
    return widths
