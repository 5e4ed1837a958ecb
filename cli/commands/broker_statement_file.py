"""Reads a broker's statement from a CSV file, line by line, in bounded memory."""

import csv
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pydantic import ValidationError

from cli.exits import UsageError
from cli.rendering import clean
from contract.fields import is_zero
from settlement.broker_statement import LineKind, StatementLine
from settlement.statement_columns import ReversedAmount, StatementColumns, TimeFormat

if TYPE_CHECKING:
    from _csv import Reader

LINE_BYTES_MAX = 64 * 1024
PROBLEMS_MAX = 10
"""Bad lines that one error names."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_EPOCH_MS = re.compile(r"[0-9]{13}")
_MAPPED = {"request_unique_no": "number", "amount": "amount", "currency": "currency", "at_ms": "time"}
"""By field of a line: the field of the mapping that names its column."""

OnBytes = Callable[[int], None]


@dataclass(frozen=True)
class StatementFile:
    """A statement of the broker: its file, its columns, and its period from `starts_at` to before `ends_at`."""

    path: Path
    columns: StatementColumns
    starts_at: datetime
    ends_at: datetime


class _BadLineError(Exception):
    """A line breaks a rule."""

    def __init__(self, line: int, column: str | None, rule: str) -> None:
        where = f"line {line}" if column is None else f'line {line}, column "{column}"'
        super().__init__(clean(f"{where}: {rule}"))


def read_lines(file: StatementFile, on_bytes: OnBytes) -> Iterator[StatementLine]:
    """Yield the events of a file in its order. `on_bytes` gets the number of bytes of each line that was read.

    Raises UsageError that names line, column and rule of the first `PROBLEMS_MAX` bad lines. After a line that is not
    CSV in the encoding, nothing more is read.
    """
    problems: list[str] = []
    try:
        with file.path.open("rb") as opened:
            for events in _events(file, opened, on_bytes):
                if isinstance(events, _BadLineError):
                    problems.append(str(events))
                    if len(problems) == PROBLEMS_MAX:
                        break
                elif not problems:
                    yield from events
    except _BadLineError as error:
        problems.append(str(error))
    except OSError as error:
        message = f"{file.path}: {error.strerror}"
        raise UsageError(message) from error
    if problems:
        message = "\n".join([f"{file.path}: nothing was imported", *(f"  {each}" for each in problems)])
        raise UsageError(message)


def _events(file: StatementFile, opened: BinaryIO, on_bytes: OnBytes) -> Iterator[list[StatementLine] | _BadLineError]:
    """Yield the events of each line, or what is wrong with it."""
    reader = csv.reader(_text_lines(file, opened, on_bytes), delimiter=file.columns.delimiter, strict=True)
    rows = _rows(reader)
    _, header = next(rows, (1, []))
    missing = [name for name in file.columns.names if header.count(name) != 1]
    if missing:
        rule = f"must be in the header once; the header is {', '.join(header)}"
        raise _BadLineError(1, missing[0], rule)
    for number, row in rows:
        if not row:
            continue
        if len(row) != len(header):
            yield _BadLineError(number, None, f"has {len(row)} columns, but the header has {len(header)}")
            continue
        try:
            yield _lines_of(file, number, dict(zip(header, row, strict=True)))
        except _BadLineError as error:
            yield error


def _text_lines(file: StatementFile, opened: BinaryIO, on_bytes: OnBytes) -> Iterator[str]:
    """Yield each line as text. A byte order mark of UTF-8 is skipped."""
    encoding = file.columns.encoding
    for number in itertools.count(1):
        content = opened.readline(LINE_BYTES_MAX + 1)
        if not content:
            return
        if len(content) > LINE_BYTES_MAX:
            raise _BadLineError(number, None, f"is longer than {LINE_BYTES_MAX} bytes")
        on_bytes(len(content))
        try:
            text = content.decode(encoding)
        except UnicodeError:
            raise _BadLineError(number, None, f"is not text in the encoding {encoding}") from None
        yield text.removeprefix("\ufeff") if number == 1 else text


def _rows(reader: "Reader") -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the number of its last line."""
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _BadLineError(reader.line_num, None, f"is not CSV: {error}") from None
        yield reader.line_num, row


def _lines_of(file: StatementFile, number: int, row: dict[str, str]) -> list[StatementLine]:
    columns = file.columns
    if not columns.has_two_times:
        kind = _kind(columns, number, row[columns.kind_column])
        if kind is None:
            return []
        line = _line(columns, number, row, kind, columns.time_column)
        if not _is_in_period(file, line):
            raise _BadLineError(number, columns.time_column, "must be in the period from --from to before --to")
        return [line]
    times = ((LineKind.APPLIED, columns.applied_time or ""), (LineKind.REVERSED, columns.reversed_time or ""))
    lines = [_line(columns, number, row, kind, column) for kind, column in times if row[column].strip()]
    if not any(_is_in_period(file, line) for line in lines):
        rule = "one of both times must be in the period from --from to before --to"
        raise _BadLineError(number, columns.applied_time, rule)
    return lines


def _is_in_period(file: StatementFile, line: StatementLine) -> bool:
    return file.starts_at <= line.at < file.ends_at


def _kind(columns: StatementColumns, number: int, value: str) -> LineKind | None:
    """Return what a line says; None for a line that is not about an adjust."""
    if value in columns.applied_values:
        return LineKind.APPLIED
    if value in columns.reversed_values:
        return LineKind.REVERSED
    if value in columns.ignored_values:
        return None
    allowed = ", ".join((*columns.applied_values, *columns.reversed_values, *columns.ignored_values))
    raise _BadLineError(number, columns.kind_column, f"must be one of {allowed}")


def _line(
    columns: StatementColumns, number: int, row: dict[str, str], kind: LineKind, time_column: str
) -> StatementLine:
    amount = row[columns.amount]
    if kind is LineKind.REVERSED and not columns.has_two_times and columns.reversed_amount is ReversedAmount.NEGATED:
        amount = _negated(amount)
    at_ms = _at_ms(columns, number, row[time_column], time_column)
    try:
        return StatementLine(
            request_unique_no=row[columns.number], kind=kind, amount=amount, currency=row[columns.currency], at_ms=at_ms
        )
    except ValidationError as error:
        first = error.errors()[0]
        field = _MAPPED[str(first["loc"][0])]
        column = time_column if field == "time" else str(getattr(columns, field))
        raise _BadLineError(number, column, first["msg"].removeprefix("Value error, ")) from None


def _negated(amount: str) -> str:
    """Return the amount with the opposite sign. What is no amount stays invalid."""
    if amount.startswith("--") or is_zero(amount):
        return amount
    return amount.removeprefix("-") if amount.startswith("-") else f"-{amount}"


def _at_ms(columns: StatementColumns, number: int, text: str, column: str) -> int:
    if columns.time_format is TimeFormat.EPOCH_MS:
        if not _EPOCH_MS.fullmatch(text):
            raise _BadLineError(number, column, "must be milliseconds since 1970, 13 digits")
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        rule = "must be a time in ISO 8601, such as 2026-01-05T03:10:00Z"
        raise _BadLineError(number, column, rule) from None
    if at.tzinfo is None:
        if columns.zone is None:
            rule = "must have an offset, such as Z or +08:00; or set utc_offset in the file of --columns"
            raise _BadLineError(number, column, rule)
        at = at.replace(tzinfo=columns.zone)
    return (at - _EPOCH) // _MS
