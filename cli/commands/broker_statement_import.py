"""Sends a statement of the broker to the API, and drives its comparison to the end."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from cli.api import ApiResponse
from cli.commands.broker_statement_file import StatementFile, read_lines
from cli.commands.broker_statement_progress import CHECKING, SENDING, ProgressDisplay, show_comparison
from cli.exits import UsageError
from cli.retry_policy import RetryPolicy
from cli.session import Session
from schemas.broker_statement import LINES_BYTES_MAX
from settlement.broker_statement import (
    LINES_MAX,
    LINES_PER_REQUEST_MAX,
    BrokerStatement,
    StatementRequest,
    StatementState,
)

STATEMENTS = "/v1/statements"
_BODY_MARGIN_BYTES = 64
_WAIT_S = 60
"""Added to the timeout of each request: the comparison works about one second, on a busy machine longer."""
_PROGRESS_BYTES = 1024 * 1024


@contextmanager
def checked_file(file: StatementFile, display: ProgressDisplay) -> Iterator["CheckedStatement"]:
    """Check every line of a file, and yield its lines in a temporary file, which is deleted afterwards.

    What is sent is exactly what was checked, even if the file changes meanwhile. Raises UsageError for a bad line, or
    if the temporary file cannot be written.
    """
    with tempfile.TemporaryFile() as store:
        digest, count = hashlib.sha256(), 0
        try:
            for each in _json_lines(file, display):
                store.write(each)
                digest.update(each)
                count += 1
                if count > LINES_MAX:
                    message = f"{file.path}: more than {LINES_MAX} lines; split its period"
                    raise UsageError(message)
            store.seek(0)
        except OSError as error:
            message = f"{tempfile.gettempdir()}: the lines of {file.path} cannot be stored: {error.strerror}"
            raise UsageError(message) from error
        yield CheckedStatement(store, digest.hexdigest(), count)


@dataclass(frozen=True)
class CheckedStatement:
    """The valid lines of a statement: one JSON document in each line of `store`."""

    store: BinaryIO
    digest: str
    line_count: int


def _json_lines(file: StatementFile, display: ProgressDisplay) -> Iterator[bytes]:
    """Yield each line as JSON with a line break at its end, and show the progress."""
    size = file.path.stat().st_size if file.path.is_file() else 0
    read = shown = 0

    def count_bytes(count: int) -> None:
        nonlocal read, shown
        read += count
        if read - shown >= _PROGRESS_BYTES:
            shown = read
            display.show(CHECKING, read, size)

    for line in read_lines(file, count_bytes):
        yield line.model_dump_json().encode() + b"\n"


class StatementImport:
    """Sends the lines of a file that has been checked, and requests their comparison.

    Every request can be repeated, so an outage of the API of up to two minutes is waited for.
    """

    def __init__(self, session: Session, display: ProgressDisplay) -> None:
        self._api = session.api
        self._notify = session.screen.notify
        self._display = display
        self._retry_policy = RetryPolicy(session.screen.notify)

    def run(self, checked: CheckedStatement, request: StatementRequest) -> ApiResponse:
        """Import the lines to the end; return the last response."""
        statement = self._post(STATEMENTS, request.model_dump_json().encode()).read(BrokerStatement)
        path = f"{STATEMENTS}/{statement.statement_id}"
        if statement.lines_received:
            self._notify(f"continuing import {statement.statement_id}: {statement.lines_received} lines have arrived")
        try:
            self._send(path, checked, statement.lines_received)
            return self._compare(path)
        except KeyboardInterrupt:
            self._notify(f"import {statement.statement_id} is not complete; continue it with the same command")
            raise

    def _compare(self, path: str) -> ApiResponse:
        """Request the comparison until it has ended; return the last response."""
        while True:
            answer = self._post(f"{path}/comparison")
            statement = answer.read(BrokerStatement)
            show_comparison(self._display, statement)
            if statement.state in {StatementState.DONE, StatementState.REFUSED, StatementState.EXPIRED}:
                return answer

    def _send(self, path: str, checked: CheckedStatement, received: int) -> None:
        """Send the lines after the first `received` ones."""
        for position, lines in _chunks(islice(checked.store, received, None), received):
            body = b'{"position":%d,"lines":[%b]}' % (position, b",".join(lines))
            self._post(f"{path}/lines", body)
            self._display.show(SENDING, position + len(lines), checked.line_count)

    def _post(self, path: str, body: bytes | None = None) -> ApiResponse:
        return self._retry_policy.call(lambda: self._api.post(path, body, wait_s=_WAIT_S))


def _chunks(lines: Iterator[bytes], position: int) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the lines in parts that fit into one request, each with the number of lines before it."""
    size = _BODY_MARGIN_BYTES
    chunk: list[bytes] = []
    for line in lines:
        # The line break becomes the comma between two lines.
        if chunk and (len(chunk) == LINES_PER_REQUEST_MAX or size + len(line) > LINES_BYTES_MAX):
            yield position, chunk
            position, size, chunk = position + len(chunk), _BODY_MARGIN_BYTES, []
        chunk.append(line.rstrip(b"\n"))
        size += len(line)
    if chunk:
        yield position, chunk
