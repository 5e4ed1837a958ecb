"""The anchor of a day: the number of rows that the ledger wrote on that day, and one hash over all their hashes.

A chain shows what was changed within it. Only an anchor that is stored elsewhere shows that a whole settlement was
deleted, that the end of a chain was cut off, or that somebody with all rights has computed every hash anew.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Select
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import queries
from ledger.audit.chains import Fault, FaultKind
from ledger.audit.verification import AUDIT_TABLES, ROWS, read_only
from ledger.transactions import read

COMPLETE_AFTER = timedelta(minutes=5)
"""Time after the end of a day after which its anchor can be made. A write that began before midnight has ended then."""


class AnchorError(ValueError):
    """An anchor cannot be made or read. The message says why, in one line."""


@dataclass(frozen=True)
class Anchor:
    """What the ledger wrote on one day, in UTC."""

    day: str
    """As in 2026-11-27."""
    settlements: int
    """Orders accepted on the day."""
    rows: int
    """Rows of the audit that were written on the day, with the ends of all chains that changed; and security events."""
    sha256: str
    """Over the hashes of all of them."""

    def as_line(self) -> str:
        """Return the anchor as one line of JSON."""
        return json.dumps({"anchor": 1, **asdict(self)})


def read_anchors(path: Path) -> list[Anchor]:
    """Return the anchors in a file, one in each line. Raises AnchorError if a line is no anchor."""
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path} cannot be read: {error}"
        raise AnchorError(message) from error
    return [_anchor(path, number, line) for number, line in enumerate(lines, start=1)]


def _anchor(path: Path, number: int, line: str) -> Anchor:
    message = f"{path}, line {number}: this is no anchor of `audit anchor`"
    try:
        values = json.loads(line)
        if values.pop("anchor") != 1:
            raise AnchorError(message)
        anchor = Anchor(**values)
        date.fromisoformat(anchor.day)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise AnchorError(message) from error
    return anchor


async def make_anchor(engine: AsyncEngine, day: date, report: Callable[[int], object] = lambda _: None) -> Anchor:
    """Return the anchor of a day. `report` is called with the number of rows of each page that was read.

    Raises AnchorError if the day has not ended for `COMPLETE_AFTER`, and any database error.
    """
    start = datetime.combine(day, time(), UTC)
    before = start + timedelta(days=1)
    if datetime.now(UTC) < before + COMPLETE_AFTER:
        message = f"{day} is not complete: an anchor can be made {COMPLETE_AFTER.seconds // 60} minutes after its end"
        raise AnchorError(message)
    digest, reader = sha256(f"order-settlement anchor 1 {day}\n".encode()), read_only(engine)
    counts = []
    for lines in _parts(reader, start, before, report):
        count = 0
        async for line in lines:
            digest.update(line.encode())
            count += 1
        counts.append(count)
    return Anchor(day.isoformat(), counts[0], sum(counts[1:]), digest.hexdigest())


async def compare(engine: AsyncEngine, anchor: Anchor, report: Callable[[int], object] = lambda _: None) -> list[Fault]:
    """Return how the ledger differs from an anchor: nothing, if it has exactly what it wrote on that day."""
    now = await make_anchor(engine, date.fromisoformat(anchor.day), report)
    if now == anchor:
        return []
    counts = (("settlements", anchor.settlements, now.settlements), ("rows", anchor.rows, now.rows))
    found = [
        Fault(
            f"anchor {anchor.day}",
            name,
            None,
            FaultKind.DELETED if is_now < was else FaultKind.INSERTED,
            f"the anchor has {was}, the ledger has {is_now}",
        )
        for name, was, is_now in counts
        if is_now != was
    ]
    why = "as many rows as in the anchor, with other hashes"
    return found or [Fault(f"anchor {anchor.day}", "rows", None, FaultKind.CHANGED, why)]


Lines = AsyncIterator[str]


def _parts(reader: AsyncEngine, start: datetime, before: datetime, report: Callable[[int], object]) -> Iterator[Lines]:
    """Yield the lines of the settlements, those of each table of the audit, and those of the security events."""

    def accepted(last: Row[Any] | None) -> Select[Any]:
        return queries.audit.accepted(start, before, last and (last.accepted_at, last.settlement_id), ROWS)

    def acceptance(row: Row[Any]) -> tuple[datetime, str]:
        return row.accepted_at, f"settlements {row.settlement_id} {row.acceptance_hash}\n"

    yield _in_order(_pages(reader, accepted, report), acceptance)
    for table in AUDIT_TABLES:

        def written(last: Row[Any] | None, table: Any = table) -> Select[Any]:  # noqa: ANN401 - bound in the loop
            after = last and (last.recorded_at, last.settlement_id, last.chain_position)
            return queries.audit.written(table, start, before, after, ROWS)

        def entry(row: Row[Any], name: str = table.name) -> tuple[datetime, str]:
            return row.recorded_at, f"{name} {row.settlement_id} {row.chain_position} {row.row_hash}\n"

        yield _in_order(_pages(reader, written, report), entry)

    def events(last: Row[Any] | None) -> Select[Any]:
        return queries.security_events.written(start, before, last and (last.at, last.event_id), ROWS)

    def event(row: Row[Any]) -> tuple[datetime, str]:
        return row.at, f"security_events {row.event_id} {row.row_hash}\n"

    yield _in_order(_pages(reader, events, report), event)


async def _pages(
    reader: AsyncEngine, query_after: Callable[[Row[Any] | None], Select[Any]], report: Callable[[int], object]
) -> AsyncIterator[Sequence[Row[Any]]]:
    last: Row[Any] | None = None
    while True:
        query = query_after(last)
        found = await read(reader, _reading(query))
        report(len(found))
        if not found:
            return
        yield found
        last = found[-1]


def _reading(query: Select[Any]) -> Callable[[Connection], Sequence[Row[Any]]]:
    return lambda connection: connection.execute(query).all()


async def _in_order(
    pages: AsyncIterator[Sequence[Row[Any]]], line_of: Callable[[Row[Any]], tuple[datetime, str]]
) -> Lines:
    """Yield lines in order of time, and of text at one time. Databases sort text by different rules."""
    at: datetime | None = None
    same: list[str] = []
    async for page in pages:
        for moment, line in map(line_of, page):
            if moment != at:
                for each in sorted(same):
                    yield each
                at, same = moment, []
            same.append(line)
    for each in sorted(same):
        yield each
