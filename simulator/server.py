"""Runs the simulator as an HTTP server: in the foreground for a process, in a thread for a test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from simulator.app import create_app
from simulator.connection import SimulatorProtocol
from simulator.service import SimulatorSettings

_KEEP_ALIVE_S = 75
"""Longer than clients keep idle connections: the client closes first, so no request meets a closing connection."""
_START_S = 10.0
_STOP_S = 5.0


def build(settings: SimulatorSettings, host: str, port: int) -> uvicorn.Server:
    """Return a server that is not started yet; port 0 lets the operating system choose one (see `url_of`).

    SIGTERM and SIGINT stop it within one second, even if requests hang.
    """
    config = uvicorn.Config(
        create_app(settings),
        host=host,
        port=port,
        http=SimulatorProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def url_of(server: uvicorn.Server) -> str:
    """Return the base URL of a started server, without a trailing slash."""
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def serving(settings: SimulatorSettings | None = None) -> Iterator[str]:
    """Run a simulator in a thread of this process for the length of the block; yield its base URL.

    Raises `RuntimeError` if it does not start within 10 s or does not stop within 5 s.
    """
    server = build(settings or SimulatorSettings(), "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, name="simulator", daemon=True)
    thread.start()
    try:
        yield _started(server, thread)
    finally:
        server.should_exit = True
        thread.join(_STOP_S)
        if thread.is_alive():
            message = f"the simulator did not stop within {_STOP_S} s"
            raise RuntimeError(message)


def _started(server: uvicorn.Server, thread: threading.Thread) -> str:
    poll_s = 0.01
    for _ in range(int(_START_S / poll_s)):
        if server.started:
            return url_of(server)
        thread.join(poll_s)
    message = f"the simulator did not start within {_START_S} s"
    raise RuntimeError(message)
