"""A process that accepts settlements, some at once, to race with others like it or to be killed.

`python -m tests.ledger.racer URL PREFIX COUNT AT_ONCE [PER_HOUR]` says `ready`, waits for a line, then accepts
PREFIX-0, PREFIX-1 and so on, and says of each, once it is acknowledged, whether it was new. PER_HOUR is the amount of
an order limit; an order above it is not new.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Self

from ledger import Ledger, open_engine
from settlement.order_limits import AmountLimitError, OrderLimit
from tests.ledger.samples import accepted
from tests.support.orders import settlement

ROOT = Path(__file__).parent.parent.parent


class Racer:
    """Such a process, as the test sees it."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, database_url: str, prefix: str, count: int, at_once: int = 1, per_hour: str = "") -> Self:
        """Start one and wait until it is ready to go."""
        arguments = (database_url, prefix, str(count), str(at_once), per_hour)
        command = (sys.executable, "-m", "tests.ledger.racer", *arguments)
        racer = cls(await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=PIPE, stdout=PIPE))
        assert await racer._line() == "ready"
        return racer

    def go(self) -> None:
        """Let it begin."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    async def answer(self) -> tuple[str, bool] | None:
        """Return the next number it was given an answer for, and if that was new; None: it has ended."""
        number, _, is_new = (await self._line()).partition(" ")
        return (number, is_new == "True") if number else None

    async def rest(self) -> list[tuple[str, bool]]:
        """Return all the answers still to come; it must end well."""
        answers = []
        while (answer := await self.answer()) is not None:
            answers.append(answer)
        assert await self._process.wait() == 0
        return answers

    async def kill9(self) -> list[tuple[str, bool]]:
        """Kill it in the middle of its work; return the answers it still got out."""
        self._process.kill()
        answers = []
        while (answer := await self.answer()) is not None:
            answers.append(answer)
        await self._process.wait()
        return answers

    async def _line(self) -> str:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        return line.decode().strip() if line.endswith(b"\n") else ""


async def race(database_url: str, prefix: str, count: int, at_once: int, per_hour: str) -> None:
    """Accept the numbers."""
    engine = open_engine(database_url)
    ledger = Ledger(engine)
    limits = (OrderLimit("race", per_hour=per_hour),) if per_hour else ()
    numbers = (f"{prefix}-{index}" for index in range(count))

    async def accept_what_is_left() -> None:
        for number in numbers:
            try:
                _, is_new = await ledger.accept(settlement(requestUniqueNo=number), accepted(), limits)
            except AmountLimitError:
                is_new = False
            sys.stdout.write(f"{number} {is_new}\n")
            sys.stdout.flush()

    await asyncio.gather(*(accept_what_is_left() for _ in range(at_once)))
    await engine.dispose()


if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    asyncio.run(race(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))
