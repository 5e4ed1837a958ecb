"""Measures how cost grows with the settlements in the ledger: `python -m bench.growth`.

Two stacks run at the same time. The ledger of one has 1,000 settlements, that of the other one 100,000. Each request
goes to one stack and then to the other, so that a busy machine affects both. The settlements in doubt are real: their
workflows are open, so reconciliation has something to compare.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from bench.load import Order, post
from bench.parked import park, with_one_attempt
from bench.past_settlements import DAY_COUNT, Past, fill, number
from bench.stacks import alternating, connected, running_stack
from settlement.broker_statement import StatementLines, StatementRequest
from tests.support.polling import until

SMALL, LARGE = DAY_COUNT, 100_000
ABORTED, ROUNDS, REQUESTS, LONG_REQUESTS = 50, 5, 40, 4
TARGET = 1.2
ROUND_LIMIT_S = 60


@dataclass(frozen=True)
class Side:
    """One stack, and the figures measured on it."""

    past: Past
    statement: StatementLines
    session: aiohttp.ClientSession
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    numbers: "count[int]" = field(default_factory=count)

    async def get(self, path: str, **params: str | int) -> Any:  # noqa: ANN401 - JSON
        """Return the answer to a GET."""
        async with self.session.get(path, params=params) as response:
            response.raise_for_status()
            return await response.json()

    async def post(self, path: str, json: str = "{}") -> Any:  # noqa: ANN401 - JSON
        """Return the answer to a POST of a JSON text."""
        headers = {"Content-Type": "application/json"}
        async with self.session.post(path, data=json, headers=headers) as response:
            response.raise_for_status()
            return await response.json()


async def post_decided(side: Side) -> None:
    """Settle one order."""
    decision = (await post(side.session, Order(f"NEW-{next(side.numbers)}"), time.monotonic())).decision
    if decision != "PROCEED":
        raise RuntimeError(f"the order is {decision}")


async def get_one(side: Side) -> None:
    """Read one settlement of any age."""
    await side.get(f"/v1/settlements/{number(random.randrange(side.past.count))}")  # noqa: S311 - no secret


def listing(items: int, **params: str | int) -> Callable[[Side], Awaitable[None]]:
    """Return the operation that reads the first page of a list, which must have this number of settlements."""

    async def read(side: Side) -> None:
        if (found := len((await side.get("/v1/settlements", **params))["items"])) != items:
            raise RuntimeError(f"{found} instead of {items} settlements for {params}")

    return read


async def get_exposure(side: Side) -> None:
    """Read the money in doubt."""
    await side.get("/v1/exposure")


async def reconcile(side: Side) -> float:
    """Run one round of reconciliation; return the seconds from its start to its end, by its own record."""

    async def last_round() -> Any:  # noqa: ANN401 - JSON
        return (await side.get("/v1/reconciliation"))["lastRound"]

    async def has_ended() -> bool:
        return bool(await last_round() != before)

    before = await last_round()
    async with side.session.post("/v1/reconciliation/rounds") as response:
        response.raise_for_status()
    await until(has_ended, limit_s=ROUND_LIMIT_S)
    last = await last_round()
    started, ended = (datetime.fromisoformat(last[each]) for each in ("startedAt", "endedAt"))
    return (ended - started).total_seconds()


async def import_statement(side: Side) -> None:
    """Import the broker's statement of the last day, and compare it to its end."""
    body = side.statement.model_dump_json()
    request = StatementRequest(
        digest=sha256(body.encode()).hexdigest(),
        starts_at=side.past.day_starts_at,
        ends_at=side.past.day_ends_at,
        line_count=len(side.statement.lines),
    )
    statement = await side.post("/v1/statements", request.model_dump_json())
    path = f"/v1/statements/{statement['statementId']}"
    await side.post(f"{path}/lines", body)
    while (statement := await side.post(f"{path}/comparison"))["state"] != "DONE":
        if statement["state"] in {"REFUSED", "EXPIRED"}:
            raise RuntimeError(f"the statement was not compared: {statement}")
    if statement["differences"]:
        raise RuntimeError(f"the statement differs from the ledger: {statement}")


Operation = Callable[[Side], Awaitable[float | None]]
"""One request. It returns the seconds to count, or None for the time from its call to its end."""

REQUESTS_EACH: dict[str, Operation] = {
    "POST, decided": post_decided,
    "GET of one": get_one,
    "list": listing(50),
    "list, SETTLED of a company": listing(50, state="SETTLED", companyId=2),
    "list, ABORTED of a company": listing(5, state="ABORTED", companyId=2, limit=5),
    # Of the smaller ledger's 1,000 settlements, 10 are CANCELLED. A longer page would be longer in the larger ledger.
    "list, CANCELLED of a company": listing(2, state="CANCELLED", companyId=2, limit=2),
    "list, EXPIRED of a company": listing(0, state="EXPIRED", companyId=2),
    "exposure": get_exposure,
}
"""Measured many times in each round."""
LONG_EACH: dict[str, Operation] = {
    "reconciliation round": reconcile,
    "statement of 1,000 lines": import_statement,
}
"""Measured `LONG_REQUESTS` times in each round."""


async def measure(sides: Sequence[Side], rounds: int, requests: int) -> None:
    """Measure every operation on all sides, request by request in turn; the first round is not counted."""
    repeats = [
        *((each, requests) for each in REQUESTS_EACH.items()),
        *((each, LONG_REQUESTS) for each in LONG_EACH.items()),
    ]
    for round_ in range(rounds + 1):
        for (name, operation), repeat in repeats:
            for _, side in alternating(sides, repeat):
                seconds = await timed(operation, side)
                if round_ > 0:
                    side.seconds[name].append(seconds)


async def timed(operation: Operation, side: Side) -> float:
    """Run an operation; return its seconds."""
    started = time.monotonic()
    counted = await operation(side)
    return time.monotonic() - started if counted is None else counted


def show(small: Side, large: Side) -> None:
    """Print the median of every operation at both sizes, and their ratio."""
    print(f"\n{'p50, ms':<30}{small.past.count:>10,}{large.past.count:>10,}{'ratio':>8}")
    for name, seconds in small.seconds.items():
        before, after = (1000 * statistics.median(each) for each in (seconds, large.seconds[name]))
        ratio = after / before
        print(f"{name:<30}{before:>10.1f}{after:>10.1f}{ratio:>8.2f}{'  above the target' if ratio > TARGET else ''}")


async def prepared(parts: AsyncExitStack, folder: Path, rows: int) -> Side:
    """Fill a ledger, start a stack on it, and park some settlements."""
    now = datetime.now(UTC)
    settings = with_one_attempt(folder, reconcile_every_s=3600)
    past = Past(rows, now.replace(hour=0, minute=0, second=0, microsecond=0), settings.policy)
    await fill(settings, past)
    stack = await parts.enter_async_context(running_stack(settings))
    session = await parts.enter_async_context(connected(stack))
    await park(session, ABORTED)
    return Side(past, StatementLines(position=0, lines=tuple(past.statement_lines())), session)


async def main(options: argparse.Namespace) -> None:
    """Start both stacks, measure, and stop them."""
    async with AsyncExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="settlement-bench-")))
        started = time.monotonic()
        sides = [await prepared(parts, folder / str(rows), rows) for rows in (SMALL, options.rows)]
        print(
            f"both ledgers filled after {time.monotonic() - started:.0f} s, {ABORTED} settlements ABORTED in each",
            flush=True,
        )
        await measure(sides, options.rounds, options.requests)
        show(*sides)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--rows", type=int, default=LARGE, help="settlements in the larger ledger")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--requests", type=int, default=REQUESTS, help="requests of each kind in one round")
    return parser.parse_args(argv)


if __name__ == "__main__":
    asyncio.run(main(arguments()))
