"""Worker and API as one process, for small installations: `python one_process.py` (ADR 0024).

It is not available while Temporal cannot be reached at its start, because its worker is not.
"""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import uvicorn
from temporalio.worker import Worker

import worker
from activities.local_decisions import LocalDecisions
from activities.temporal_guard import WrongTemporalError
from api import __main__ as api
from config.logging import configure_logging
from config.process import ShutdownLimit, keep_files_private
from config.settings import Settings, load_api_settings
from config.temporal_connection import TemporalUnreachableError

log = structlog.get_logger()

END_LIMIT_S = api.END_LIMIT_S + worker.END_LIMIT_S
"""The process ends at most this long after SIGTERM: first the requests in progress complete, then the calls."""


class _ServerWithoutSignals(uvicorn.Server):
    """Uvicorn without signal handlers: those of this process stop it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signal handlers as they are."""
        yield


class OneProcess:
    """Runs the workers, and the API as long as they run."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server: uvicorn.Server | None = None
        self._stopping = asyncio.Event()
        self.running = list[Worker]()

    def stop(self) -> None:
        """Stop the API, and then the workers. Repeating it changes nothing."""
        self._stopping.set()
        if self._server is not None:
            self._server.should_exit = True

    async def run(self) -> int:
        """Run until `stop`, and return the exit code. Raises WrongTemporalError, and the errors of a worker's start."""
        decisions, stop_workers = LocalDecisions(), asyncio.Event()
        ready = asyncio.get_running_loop().create_future()
        working = asyncio.create_task(
            worker.run(self._settings, stop_workers, self.running, decisions=decisions, on_ready=ready.set_result)
        )
        stopping = asyncio.create_task(self._stopping.wait())
        code = 0
        try:
            first: set[asyncio.Future[Any]] = {working, ready, stopping}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if ready.done() and not self._stopping.is_set():
                working.add_done_callback(lambda _: self.stop())
                code = await api.serve(self._settings, api.WorkerHere(ready.result(), decisions), self._server_of)
        finally:
            stopping.cancel()
            stop_workers.set()
            await working
        return code

    def _server_of(self, config: uvicorn.Config) -> uvicorn.Server:
        self._server = _ServerWithoutSignals(config)
        self._server.should_exit = self._stopping.is_set()
        return self._server


async def main() -> int:
    """Run until SIGTERM or SIGINT. A second signal, or `END_LIMIT_S` after the first, ends the process immediately.

    Returns the exit code: 1 if the ledger is bound to another Temporal namespace or Temporal cannot be reached at the
    start, else 0.
    """
    keep_files_private()
    settings = load_api_settings()
    configure_logging(settings.log_format, settings.log_level)
    process = OneProcess(settings)
    shutdown_limit = ShutdownLimit(
        END_LIMIT_S, lambda: [each.task_queue for each in process.running if each.is_running] or ["requests"]
    )

    def on_signal(number: int) -> None:
        shutdown_limit.on_signal(number)
        process.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
    try:
        code = await process.run()
    except (TemporalUnreachableError, WrongTemporalError) as wrong:
        print(f"not started, or stopped: {wrong}", file=sys.stderr)  # noqa: T201 - a command's error output
        return 1
    log.info("stopped")
    return code


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
