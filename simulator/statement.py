"""The broker's statement: every change of a balance in a period, as CSV.

Columns: requestUniqueNo (of the adjust, also for a reversal), kind (applied or reversed), amount (the change of the
balance, so a reversal has the opposite sign), currency, time (UTC).
"""

import csv
import io
import sqlite3
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from simulator.database import DatabaseThread, fetch_all

COLUMNS = ("requestUniqueNo", "kind", "amount", "currency", "time")
PAGE = 1_000
"""Lines that are read from the database at once."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_US = 1_000
_INTEGER_MAX = 2**63 - 1
"""Largest integer of SQLite; no booking is as late."""


class BookingKind(StrEnum):
    """Why a balance was changed."""

    APPLIED = "applied"
    REVERSED = "reversed"


def book(connection: sqlite3.Connection, number: str, kind: BookingKind, amount: str, currency: str) -> None:
    """Record a change of a balance now. It belongs to the transaction that changes the balance."""
    connection.execute(
        "INSERT INTO bookings (number, kind, amount, currency, at_ns) VALUES (?, ?, ?, ?, ?)",
        (number, kind, amount, currency, time.time_ns()),
    )


async def statement(database: DatabaseThread, starts_at: datetime, ends_at: datetime) -> AsyncIterator[str]:
    """Yield the statement from `starts_at` (inclusive) to `ends_at` (exclusive), in order of time, in parts."""
    yield _csv([COLUMNS])
    after = (_ns(starts_at), 0)
    while True:
        page = await database.run(_page, database.connection, after, _ns(ends_at))
        if not page:
            return
        yield _csv([_line(row) for row in page])
        after = (page[-1]["at_ns"], page[-1]["id"])


def _page(connection: sqlite3.Connection, after: tuple[int, int], ends_at_ns: int) -> list[Any]:
    return fetch_all(
        connection,
        "SELECT * FROM bookings WHERE (at_ns, id) > (?, ?) AND at_ns < ? ORDER BY at_ns, id LIMIT ?",
        *(*after, ends_at_ns, PAGE),
    )


def _ns(at: datetime) -> int:
    ns = (at - _EPOCH) // timedelta(microseconds=1) * _NS_PER_US
    return max(-_INTEGER_MAX, min(_INTEGER_MAX, ns))


def _line(row: Any) -> tuple[str, ...]:  # noqa: ANN401 - as fetch_all returns it
    at = _EPOCH + timedelta(microseconds=row["at_ns"] // _NS_PER_US)
    text = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return row["number"], row["kind"], row["amount"], row["currency"], text


def _csv(rows: list[tuple[str, ...]]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    return written.getvalue()
