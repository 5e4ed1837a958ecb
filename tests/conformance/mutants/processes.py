"""Mutants as processes: each is forked from a process that has loaded the simulator, in 50 ms instead of 2 s."""

import multiprocessing
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing.connection import Connection

from simulator.server import build
from simulator.service import SimulatorSettings
from tests.conformance.mutants.table import MUTANTS

_HOST = "127.0.0.1"
_START_S, _STOP_S = 30.0, 5.0
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__, "conformance.app", "conformance.report.files"])


@contextmanager
def serving(name: str | None) -> Iterator[str]:
    """Run a mutant, or the simulator without a fault (None), for the length of the block; yield its base URL.

    Raises `RuntimeError` if it does not start.
    """
    receiver, sender = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=_serve, args=(name, sender), daemon=True)
    process.start()
    sender.close()
    try:
        yield _url(receiver, name)
    finally:
        process.terminate()
        process.join(_STOP_S)
        if process.is_alive():
            process.kill()
            process.join()
        receiver.close()


def _url(receiver: Connection, name: str | None) -> str:
    try:
        if receiver.poll(_START_S):
            return f"http://{_HOST}:{receiver.recv()}"
    except EOFError:
        pass
    message = f"the mutant {name} did not start"
    raise RuntimeError(message)


def _serve(name: str | None, ready: Connection) -> None:
    """Listen on a free port, tell it, and serve until a signal arrives."""
    with MUTANTS[name].plant() if name else nullcontext(), socket.create_server((_HOST, 0), backlog=1024) as listening:
        server = build(SimulatorSettings(), _HOST, 0)
        ready.send(listening.getsockname()[1])
        ready.close()
        server.run(sockets=[listening])
