"""Sends a statement of the broker to the API, and drives its comparison to the end."""

import hashlib
from collections.abc import Iterator

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
_BODY_START, _BODY_END = '{"position":%d,"lines":[', "]}"
_BODY_MARGIN_BYTES = 64
_WAIT_S = 60
"""Added to the timeout of each request: the comparison works about one second, on a busy machine longer."""
_PROGRESS_BYTES = 1024 * 1024


def check_file(file: StatementFile, display: ProgressDisplay) -> tuple[str, int]:
    """Read the whole file; return the digest of its lines and their number. Raises UsageError for a bad line."""
    digest, count = hashlib.sha256(), 0
    for each in _json_lines(file, display, CHECKING):
        digest.update(each.encode())
        count += 1
        if count > LINES_MAX:
            message = f"{file.path}: more than {LINES_MAX} lines; split its period"
            raise UsageError(message)
    return digest.hexdigest(), count


def _json_lines(file: StatementFile, display: ProgressDisplay | None, step: str) -> Iterator[str]:
    """Yield each line as JSON; show the progress if there is a display."""
    size = file.path.stat().st_size if display is not None and file.path.is_file() else 0
    read = shown = 0

    def count_bytes(count: int) -> None:
        nonlocal read, shown
        read += count
        if display is not None and read - shown >= _PROGRESS_BYTES:
            shown = read
            display.show(step, read, size)

    for line in read_lines(file, count_bytes):
        yield line.model_dump_json()


class StatementImport:
    """Sends the lines of a file that has been checked, and requests their comparison.

    Every request can be repeated, so an outage of the API of up to two minutes is waited for.
    """

    def __init__(self, session: Session, display: ProgressDisplay) -> None:
        self._api = session.api
        self._notify = session.screen.notify
        self._display = display
        self._retry_policy = RetryPolicy(session.screen.notify)

    def run(self, file: StatementFile, request: StatementRequest) -> ApiResponse:
        """Import the file to its end; return the last response."""
        statement = self._post(STATEMENTS, request.model_dump_json()).read(BrokerStatement)
        if statement.lines_received:
            self._notify(f"continuing import {statement.statement_id}: {statement.lines_received} lines have arrived")
        try:
            self._send(f"{STATEMENTS}/{statement.statement_id}", file, request, statement.lines_received)
            return self._compare(f"{STATEMENTS}/{statement.statement_id}")
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

    def _send(self, path: str, file: StatementFile, request: StatementRequest, received: int) -> None:
        """Send the lines after the first `received` ones, except for the last request if the file has changed."""
        digest = hashlib.sha256()
        waiting: tuple[int, list[str]] | None = None
        for position, lines in _chunks(_json_lines(file, None, SENDING)):
            if waiting is not None:
                self._send_chunk(path, *waiting, received, request.line_count)
            for each in lines:
                digest.update(each.encode())
            waiting = position, lines
        if digest.hexdigest() != request.digest:
            message = f"{file.path}: has changed since it was checked; nothing was compared, import it again"
            raise UsageError(message)
        if waiting is not None:
            self._send_chunk(path, *waiting, received, request.line_count)

    def _send_chunk(self, path: str, position: int, lines: list[str], received: int, line_count: int) -> None:
        if position + len(lines) > received:
            first = max(0, received - position)
            body = _BODY_START % (position + first) + ",".join(lines[first:]) + _BODY_END
            self._post(f"{path}/lines", body)
        self._display.show(SENDING, position + len(lines), line_count)

    def _post(self, path: str, body: str | None = None) -> ApiResponse:
        content = None if body is None else body.encode()
        return self._retry_policy.call(lambda: self._api.post(path, content, wait_s=_WAIT_S))


def _chunks(lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines in parts that fit into one request, each with the number of lines before it."""
    position, size = 0, _BODY_MARGIN_BYTES
    chunk: list[str] = []
    for line in lines:
        length = len(line.encode()) + 1
        if chunk and (len(chunk) == LINES_PER_REQUEST_MAX or size + length > LINES_BYTES_MAX):
            yield position, chunk
            position, size, chunk = position + len(chunk), _BODY_MARGIN_BYTES, []
        chunk.append(line)
        size += length
    if chunk:
        yield position, chunk
