"""Fit texts into a terminal's width without ever breaking a value: only prose is wrapped, and only between words."""

import re
from collections.abc import Sequence

from rich.cells import cell_len

PROSE = frozenset(
    {
        "brokerMessage",
        "brokerReference",
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
"""Columns and fields that hold sentences. The value of any other one stays in one piece at every width."""

PROSE_WIDTH_MIN = 24
"""Cells of a column of prose, if it has so much to say: a narrower one makes its row unreadably high."""
_WIDE = "\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6"
_PIECES = re.compile(f"[{_WIDE}] *|[^\\s{_WIDE}]+ *| +")
"""What a line may be broken between: words, and the characters of scripts that are written without blanks."""
_TABLE_EDGE, _CELL_PADDING_AND_EDGE = 1, 3


def longest_piece(text: str) -> int:
    """Return the cells of the longest part of a text that no line break may fall into."""
    return max((cell_len(piece.rstrip()) for piece in _PIECES.findall(text)), default=0)


def wrapped(text: str, width: int) -> list[str]:
    """Return the text in lines of at most `width` cells; a piece that is longer has a line to itself, unbroken."""
    lines = [""]
    for piece in _PIECES.findall(text):
        if lines[-1] and cell_len(lines[-1]) + cell_len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def fitted(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Return the cells of each column of a table in a terminal of this width; None: no such table fits."""
    left = width - _TABLE_EDGE - _CELL_PADDING_AND_EDGE * len(columns)
    texts = [[column, *(row[position] for row in rows)] for position, column in enumerate(columns)]
    wanted = [max(map(cell_len, each)) for each in texts]
    needed = [
        max(min(widest, PROSE_WIDTH_MIN), *map(longest_piece, each)) if column in PROSE else widest
        for column, widest, each in zip(columns, wanted, texts, strict=True)
    ]
    if sum(needed) > left:
        return None
    while sum(wanted) > left:
        # The widest one that can, gives way.
        _, position = max((cells, each) for each, cells in enumerate(wanted) if cells > needed[each])
        wanted[position] -= 1
    return wanted
