"""The output of a command: results go to stdout, everything else goes to stderr."""

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
from cli.rendering import Block, Lines, Row, Table, clean, plain, plain_row


class OutputFormat(Enum):
    """The format of results on stdout."""

    JSON = auto()
    """The JSON of the API, unchanged (`--json`)."""
    PLAIN = auto()
    """Columns separated by tabs, if stdout is not a terminal."""
    TERMINAL = auto()
    """Tables and colours, if stdout is a terminal."""


class Screen:
    """Prints in one format. Raises OutputClosedError or OutputError if stdout cannot be written (`cli.streams`)."""

    def __init__(self, *, as_json: bool) -> None:
        if as_json:
            self.format = OutputFormat.JSON
        else:
            self.format = OutputFormat.TERMINAL if sys.stdout.isatty() else OutputFormat.PLAIN
        # JSON is always UTF-8. In the other formats a character that the encoding lacks becomes an escape.
        _reconfigure(sys.stdout, "utf-8" if as_json else None)
        _reconfigure(sys.stderr, None)

    def show_response(self, response: ApiResponse, view: Callable[[], Sequence[Block]]) -> None:
        """Print a response: its JSON unchanged, or the blocks that `view` returns for it."""
        if self.format is OutputFormat.JSON:
            self._write(response.text.rstrip("\n"))
        else:
            self.show(*view())

    def show_items(
        self, items: Iterable[dict[str, Any]], columns: Sequence[str], row: Callable[[dict[str, Any]], Row]
    ) -> None:
        """Print the items of a list: as JSON lines, as plain rows while they arrive, or as one table at a terminal."""
        if self.format is OutputFormat.JSON:
            for item in items:
                self.json_line(item)
            return
        rows = (row(item) for item in items)
        # The first row is read before the column names are printed, so that stdout is empty after a refusal.
        first = list(rows if self.format is OutputFormat.TERMINAL else islice(rows, 1))
        if first or self.format is OutputFormat.PLAIN:
            self.show(Table(columns, chain(first, rows)))
        else:
            self.show(Lines(["none"]))

    def show(self, *blocks: Block) -> None:
        """Print blocks with a blank line between them. A terminal does not get empty tables; plain output does."""
        if self.format is OutputFormat.TERMINAL:
            blocks = tuple(block for block in blocks if not isinstance(block, Table) or block.rows)
        for position, block in enumerate(blocks):
            if position:
                self._write("")
            if self.format is OutputFormat.TERMINAL:
                draw(console(), block)
            else:
                for line in plain(block):
                    self._write(line)

    def json_line(self, value: object) -> None:
        """Print a value as one line of JSON."""
        self._write(json.dumps(value, ensure_ascii=False, separators=(",", ":")))

    def line(self, text: str) -> None:
        """Print one line of text."""
        self._write(clean(text))

    def stream_row(self, row: Row, widths: Sequence[int]) -> None:
        """Print one row of an endless list: in columns of these widths at a terminal, else separated by tabs."""
        if self.format is OutputFormat.TERMINAL:
            draw_row(console(), row, widths)
        else:
            self._write(plain_row(row))

    def notify(self, message: str) -> None:
        """Print a message to stderr. Text from outside must be cleaned before (`cli.rendering.clean`)."""
        sys.stderr.write(message + "\n")
        sys.stderr.flush()

    def show_on_stderr(self, *blocks: Block) -> None:
        """Print blocks to stderr, for what the user must read before the result."""
        for block in blocks:
            if sys.stderr.isatty():
                draw(console(stderr=True), block)
            else:
                self.notify("\n".join(plain(block)))

    def show_error(self, error: CliError) -> None:
        """Print why the command failed to stderr; with `--json`, the API's problem unchanged."""
        if self.format is OutputFormat.JSON and error.document is not None:
            self.notify(error.document)
        else:
            self.notify(f"error: {error}")

    def _write(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints text unchanged: no markup, no highlighting, no emoji codes."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def _reconfigure(stream: object, encoding: str | None) -> None:
    """Write a character that the encoding lacks as an escape. A stream that cannot be configured stays as it is."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding=encoding, errors="backslashreplace")
