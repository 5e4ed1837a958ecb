"""A child process: starts it, waits until it is ready, stops or kills it; its output goes to its own log file."""

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
    """A part failed, or the demo did not end as expected; the message is for the user."""


class Process:
    """A child process in its own session, so that Ctrl-C reaches only the parent, which stops parts in order."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], log_dir: Path, ready: Probe) -> None:
        self.name = name
        self.command = command
        # Without TEMPORAL_… of the shell, which may be the address and key of another Temporal.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
        self.env = {**inherited, **env}
        """The environment of the process; a change takes effect at the next start."""
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
        """Whether the process was started and has not ended."""
        return self._child is not None and self._child.returncode is None

    async def start(self) -> None:
        """Start the process and wait until it is ready; raises StackError, with the end of its log, if it is late."""
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
        """Send SIGTERM and wait for the end; after `STOP_LIMIT_S` seconds, kill it."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """Kill the process (SIGKILL) and wait for its end."""
        await self._end(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for the end and return the exit code; if a signal ended the process, minus its number."""
        if self._child is None:
            message = f"{self.name} is not running"
            raise StackError(message)
        return await self._child.wait()

    def tail(self) -> str:
        """Return the end of the output since the last start."""
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
    """Let the kernel end this child when its parent dies, even by SIGKILL, so that nothing is left running."""
    assert _LIBC is not None  # noqa: S101 - used only if _LIBC is set
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
