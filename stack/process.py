"""One child process: started, waited for, stopped or killed, its output in a file of its own."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

STOP_LIMIT_S = 20.0
READY_LIMIT_S = 60.0
_POLL_S = 0.05
_TAIL_BYTES = 2000

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None

Probe = Callable[[], Awaitable[bool]]


class StackError(Exception):
    """A part could not be started or kept running; the message says which and why, for a person."""


class Process:
    """A child in a session of its own, so that Ctrl-C reaches only us and parts end in the right order."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], log_dir: Path, ready: Probe) -> None:
        self.name = name
        self.command = command
        # Only the Temporal that it is told of: a shell may hold another's address and key.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
        self.env = {**inherited, **env}
        """What it will be started with; a change counts from the next start on."""
        self._log_path = log_dir / f"{name}.log"
        self._ready = ready
        self._child: asyncio.subprocess.Process | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """The running child's process id."""
        if self._child is None:
            message = f"{self.name} is not running"
            raise StackError(message)
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.returncode is None

    async def start(self) -> None:
        """Start it and wait until it is ready; StackError with the end of its log if it is not in time."""
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        with self._log_path.open("ab") as log:
            self._log_start = log.tell()
            self._child = await asyncio.create_subprocess_exec(
                *self.command,
                env=self.env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent if _LIBC else None,
            )
        try:
            async with asyncio.timeout(READY_LIMIT_S):
                while not await self._ready():
                    if not self.running:
                        raise self._failure("ended before it was ready")
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise self._failure(f"not ready within {READY_LIMIT_S:g} s") from None

    async def stop(self) -> None:
        """Ask it to end and wait; after `STOP_LIMIT_S` it is killed."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End it as a crash would: at once, with nothing tidied up."""
        await self._end(signal.SIGKILL)

    async def ended(self) -> int:
        """Wait until it ends and return its exit code; minus the signal's number if one ended it."""
        if self._child is None:
            message = f"{self.name} is not running"
            raise StackError(message)
        return await self._child.wait()

    def tail(self) -> str:
        """Return the end of what it has written since it was started last."""
        if not self._log_path.exists():
            return ""
        return self._log_path.read_bytes()[self._log_start :][-_TAIL_BYTES:].decode(errors="replace")

    async def _end(self, how: signal.Signals) -> None:
        if self._child is None or self._child.returncode is not None:
            return
        self._child.send_signal(how)
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                await self._child.wait()
        except TimeoutError:
            self._child.kill()
            await self._child.wait()

    def _failure(self, what: str) -> StackError:
        return StackError(f"{self.name} {what}; the end of {self._log_path}:\n{self.tail()}")


def _end_with_parent() -> None:
    """Have the kernel end this child when its parent dies, even by kill -9: nothing is left running."""
    assert _LIBC is not None  # noqa: S101 - only ever passed where it is
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
