"""Runs our programs in forks of a process that has loaded their libraries: 30 ms instead of 400 to 2000.

A fork is a process of its own, with its own arguments, environment, streams and exit code. Tests of the start itself,
of signals and of terminals run the real program instead (such as `tests.support.cli.PROGRAM`).
"""

import asyncio
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[2]
LIMIT_S = 60
"""After this time the kernel ends a command."""
_REQUEST_MAX = 1 << 20
_CANNOT_FLUSH = 120
"""The exit code of Python if it cannot flush its streams at its end."""


@dataclass
class Forks:
    """A process that is forked for each run. It starts with the first run, and ends when this process does."""

    preloads: Sequence[str]
    """Modules that are imported before the forks."""
    _connection: socket.socket | None = None

    async def run(
        self, program: str, arguments: Sequence[str], env: Mapping[str, str], stdin: bytes = b""
    ) -> tuple[int, str, str]:
        """Run `python -m program` to its end; return its exit code and what it has written to stdout and stderr."""
        (out, to_out), (err, to_err), (code, to_code) = (os.pipe() for _ in range(3))
        with tempfile.TemporaryFile() as from_in:
            from_in.write(stdin)
            from_in.seek(0)
            request = json.dumps({"program": program, "arguments": arguments, "env": dict(env)}).encode()
            socket.send_fds(self._connected(), [request], [from_in.fileno(), to_out, to_err, to_code])
        for given in (to_out, to_err, to_code):
            os.close(given)
        written, complained, ended = await asyncio.gather(_read(out), _read(err), _read(code))
        return int(ended), written.decode(), complained.decode()

    def _connected(self) -> socket.socket:
        if self._connection is None:
            self._connection, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with far:
                command = [sys.executable, "-m", "tests.support.forks", str(far.fileno()), *self.preloads]
                self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[far.fileno()])  # noqa: S603 - our own command
        return self._connection


CLI = Forks(["cli.app", "httpcore2"])
"""For the command `settlement`. httpcore2 is loaded late by the client library; here once for all commands."""
CONFORMANCE = Forks(["conformance.app", "conformance.dry_run"])
"""For the command `settlement-conformance`."""
PROGRAMS = Forks(["api.__main__", "api.bind_temporal", "api.first_key", "ledger.migrate", "rehearsal", "worker"])
"""For the programs that run beside Temporal and the ledger."""


async def _read(pipe: int) -> bytes:
    reader = asyncio.StreamReader()
    with open(pipe, "rb", buffering=0) as opened:  # noqa: ASYNC230 - an open file already
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), opened
        )
        try:
            return await reader.read()
        finally:
            transport.close()


def serve(descriptor: int, preloads: Sequence[str]) -> None:
    """Fork for each request that comes on an open socket, until its other end is closed."""
    for name in preloads:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as requests:
        while True:
            request, descriptors, _, _ = socket.recv_fds(requests, _REQUEST_MAX, 4)
            if not request:
                return
            if os.fork() == 0:
                requests.close()
                _keep(json.loads(request), descriptors)
            for each in descriptors:
                os.close(each)


def _keep(request: dict[str, object], descriptors: Sequence[int]) -> NoReturn:
    """Fork the command itself and report its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, to_code = descriptors
    pid = os.fork()
    if pid == 0:
        os.close(to_code)
        _command(request, streams)
    for each in streams:
        os.close(each)
    _, status = os.waitpid(pid, 0)
    os.write(to_code, str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _command(request: dict[str, object], streams: Sequence[int]) -> NoReturn:
    """Become the program: take over streams and environment as Python does when it starts."""
    signal.alarm(LIMIT_S)
    for standard, given in enumerate(streams):
        os.dup2(given, standard)
    os.environ.clear()
    os.environ.update(request["env"])  # type: ignore[call-overload] # JSON of our own
    program, arguments = str(request["program"]), request["arguments"]
    sys.argv = [program, *arguments]  # type: ignore[misc] # JSON of our own
    chosen = os.environ.get("PYTHONIOENCODING")
    encoding, errors = (chosen, "strict") if chosen else ("utf-8", "surrogateescape")
    sys.stdin = open(0, encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115 - the standard streams are never closed
    sys.stdout = open(1, "w", encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115 - the standard streams are never closed
    sys.stderr = open(2, "w", 1, encoding=encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115 - the standard streams are never closed
    code = _CANNOT_FLUSH
    try:
        code = _run(program)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _run(program: str) -> int:
    # runpy warns if the module that it runs is loaded already.
    sys.modules.pop(program if "." in program else f"{program}.__main__", None)
    try:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)  # noqa: T201 - as Python does
        return 1
    except Exception:  # noqa: BLE001 - as Python does
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2:])
