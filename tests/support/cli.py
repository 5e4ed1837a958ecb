"""The command `settlement` as a process: through pipes, as scripts run it, or at a terminal, as people do."""

import asyncio
import json
import os
import signal
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.forks import CLI
from tests.support.polling import until

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "cli"]
LIMIT_S = 60


def environment(url: str | None = None, **variables: str) -> dict[str, str]:
    """Return what the program finds around it: no proxy, no key, nothing of the machine's."""
    own = {} if url is None else {"SETTLEMENT_URL": url}
    return {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", **own, **variables}


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it printed. No traceback is ever among it."""

    code: int
    out: str
    err: str

    def __post_init__(self) -> None:
        assert "Traceback" not in self.err + self.out, self.err

    def json(self) -> Any:  # noqa: ANN401 - whatever was printed
        """Return stdout as the one JSON document that it must be."""
        return json.loads(self.out)

    def lines(self) -> list[Any]:
        """Return stdout as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    def rows(self) -> list[list[str]]:
        """Return stdout as plain columns."""
        return [line.split("\t") for line in self.out.splitlines()]

    def fields(self) -> dict[str, str]:
        """Return the plain names and values that stdout begins with."""
        block = self.out.split("\n\n", maxsplit=1)[0]
        return dict(line.split("\t", maxsplit=1) for line in block.splitlines())


async def settlement(*arguments: str, url: str | None = None, stdin: bytes = b"", **variables: str) -> Ran:
    """Run one command with a file as stdin and pipes as stdout and stderr, to its end."""
    return Ran(*await CLI.run("cli", arguments, environment(url, **variables), stdin))


class Terminal:
    """A command at a terminal; stdin, stdout and stderr are all the terminal."""

    def __init__(self, master: int, process: asyncio.subprocess.Process) -> None:
        self._master = master
        self._process = process
        self._seen = b""
        asyncio.get_running_loop().add_reader(master, self._read)

    @property
    def seen(self) -> str:
        """All that has appeared so far, escape codes included."""
        return self._seen.decode(errors="replace")

    async def shows(self, text: str) -> None:
        """Wait until a text has appeared."""

        async def probe() -> bool:
            return text in self.seen

        await until(probe, what=text)

    def types(self, text: str) -> None:
        """Type something."""
        os.write(self._master, text.encode())

    def interrupts(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    async def ends(self) -> Ran:
        """Wait for the end; everything that appeared counts as stdout."""
        async with asyncio.timeout(LIMIT_S):
            code = await self._process.wait()
        self._read()
        return Ran(code, self.seen, "")

    def close(self) -> None:
        """Take the terminal away."""
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)

    def _read(self) -> None:
        try:
            while part := os.read(self._master, 65536):
                self._seen += part
        except OSError:
            # Nothing there now (EAGAIN), or nobody at the other end any more (EIO).
            return


def _takes_ctrl_c() -> None:
    """Undo what a job in the background inherits, and we with it: that SIGINT is ignored. At a terminal it is not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@asynccontextmanager
async def terminal(
    *arguments: str, url: str | None = None, columns: int = 160, **variables: str
) -> AsyncIterator[Terminal]:
    """Run one command at a terminal of some columns."""
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (50, columns))
    os.set_blocking(master, False)
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *arguments,
        env=environment(url, TERM="xterm-256color", **variables),
        cwd=ROOT,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        preexec_fn=_takes_ctrl_c,
    )
    os.close(slave)
    opened = Terminal(master, process)
    try:
        yield opened
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        opened.close()
