"""Where a command prints: results to stdout, everything else to stderr."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from itertools import chain, islice
from typing import Any

from rich.console import Console

from cli.api import ApiResponse
from cli.drawing import draw, draw_row
from cli.exits import CliError
from cli.rendering import Block, Lines, Row, Table, plain, plain_row
from cli.text import clean


class Form(Enum):
    """How results are printed."""

    JSON = auto()
    """The API's own JSON."""
    PLAIN = auto()
    """Columns separated by tabs: stdout is no terminal."""
    TERMINAL = auto()
    """Tables and colours for a person."""


class Screen:
    """Prints in one form. Raises ReaderGoneError or OutputError when stdout cannot be written (`cli.streams`)."""

    def __init__(self, *, as_json: bool) -> None:
        self.form = Form.JSON if as_json else Form.TERMINAL if sys.stdout.isatty() else Form.PLAIN
        # JSON is UTF-8 whatever the terminal speaks; for people an unknown character is written out, not fatal.
        _reconfigure(sys.stdout, "utf-8" if as_json else None)
        _reconfigure(sys.stderr, None)

    def answer(self, answer: ApiResponse, view: Callable[[], Sequence[Block]]) -> None:
        """Print an answer: as JSON exactly as it came, else as the blocks that its view makes of it."""
        if self.form is Form.JSON:
            self._write(answer.text.rstrip("\n"))
        else:
            self.show(*view())

    def items(
        self, items: Iterable[dict[str, Any]], columns: Sequence[str], row: Callable[[dict[str, Any]], Row]
    ) -> None:
        """Print a list's items: as JSON lines, as rows as they come, or as a table once all are there."""
        if self.form is Form.JSON:
            for item in items:
                self.json_line(item)
            return
        rows = (row(item) for item in items)
        # The first one before the columns: a refusal leaves stdout empty.
        some = list(rows if self.form is Form.TERMINAL else islice(rows, 1))
        if some or self.form is Form.PLAIN:
            self.show(Table(columns, chain(some, rows)))
        else:
            self.show(Lines(["none"]))

    def show(self, *blocks: Block) -> None:
        """Print blocks, with a blank line between them; a person is spared the empty tables, a program is not."""
        if self.form is Form.TERMINAL:
            blocks = tuple(block for block in blocks if not isinstance(block, Table) or block.rows)
        for position, block in enumerate(blocks):
            if position:
                self._write("")
            if self.form is Form.TERMINAL:
                draw(console(), block)
            else:
                for line in plain(block):
                    self._write(line)

    def json_line(self, value: object) -> None:
        """Print a value as one line of JSON."""
        self._write(json.dumps(value, ensure_ascii=False, separators=(",", ":")))

    def text(self, text: str) -> None:
        """Print one line that is nothing but a value."""
        self._write(clean(text))

    def stream_row(self, row: Row, widths: Sequence[int]) -> None:
        """Print one row of what has no end yet: columns of given widths on a terminal, else separated by tabs."""
        if self.form is Form.TERMINAL:
            draw_row(console(), row, widths)
        else:
            self._write(plain_row(row))

    def say(self, message: str) -> None:
        """Tell whoever runs the command. What the message quotes must be clean (`cli.text.clean`)."""
        sys.stderr.write(message + "\n")
        sys.stderr.flush()

    def tell(self, *blocks: Block) -> None:
        """Show blocks on stderr: what a person must see before a result."""
        for block in blocks:
            if sys.stderr.isatty():
                draw(console(stderr=True), block)
            else:
                self.say("\n".join(plain(block)))

    def fail(self, error: CliError) -> None:
        """Tell why the command failed; where JSON is asked for, a problem as it came."""
        if self.form is Form.JSON and error.document is not None:
            self.say(error.document)
        else:
            self.say(f"error: {error}")

    def _write(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def console(*, stderr: bool = False) -> Console:
    """Return a terminal that takes texts as they are: no markup, nothing highlighted, nothing replaced."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def _reconfigure(stream: object, encoding: str | None) -> None:
    """Never fail over a character. A stream that is no file has nothing to configure."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding=encoding, errors="backslashreplace")
