"""A shell that types what a document shows, in order, as a reader at a terminal does."""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.polling import until

_END = "\x01END OF COMMAND\x01"
_STOP_LIMIT_S = 60


class Shell:
    """One bash for a whole document: variables and the last exit status last from one command to the next.

    Output and errors arrive in one stream, in their order. There is nothing to read on stdin.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def open(cls, env: Mapping[str, str], folder: Path) -> "Shell":
        """Start one in a folder."""
        process = await asyncio.create_subprocess_exec(
            "bash",
            env=env,
            cwd=folder,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(process)

    async def run(self, command: str, limit_s: float) -> tuple[str, int]:
        """Run one command to its end; return what it printed and its exit status. TimeoutError after the limit."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # The group keeps `cd` and `export`; `(exit …)` hands the status to a next command that asks for `$?`.
        typed = f"{{ {command}\n}} </dev/null\n__status=$?; echo '{_END}' $__status; (exit $__status)\n"
        self._process.stdin.write(typed.encode())
        async with asyncio.timeout(limit_s):
            try:
                printed = (await self._process.stdout.readuntil(_END.encode())).decode()
            except asyncio.IncompleteReadError as error:
                pytest.fail(f"bash ended in {command}: {error.partial.decode()}")
            status = (await self._process.stdout.readline()).decode()
        return printed.removesuffix(_END), int(status)

    async def close(self) -> None:
        """End it, and whatever it still runs."""
        await _end(self._process)


class Foreground:
    """A command that runs until Ctrl-C: in a terminal of its own, for as long as the document needs it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.printed = ""
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, command: str, env: Mapping[str, str], folder: Path) -> "Foreground":
        """Start it in a folder."""
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", command),
            env=env,
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(process)

    @property
    def ended(self) -> bool:
        """Whether it has ended, and everything that it printed was read."""
        return self._reading.done()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while part := await self._process.stdout.readline():
            self.printed += part.decode()

    async def stop(self) -> None:
        """Press Ctrl-C and wait until everything that it started has ended."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGTERM)

        async def ended() -> bool:
            return self._reading.done()

        try:
            await until(ended, limit_s=_STOP_LIMIT_S, what="the end of a command in the foreground")
        finally:
            await _end(self._process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):  # it has ended, and asyncio is about to learn of it
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
