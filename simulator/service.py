"""One running simulator: its settings, its log, its database, its request handler and its delayed adjusts."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog

from contract.operations import ADJUST_PATH, CANCEL_ADJUST_PATH, CANCEL_OPERATION_PATH
from simulator.call_journal import Request
from simulator.database import IN_MEMORY, DatabaseThread
from simulator.request_handler import HandledReply, RequestHandler

_NS_PER_S = 1_000_000_000

# One JSON line per event, written only if the logger "simulator" is configured. It does not use the process-wide
# structlog settings, because tests run a simulator in a process that configures those for itself.
log = structlog.wrap_logger(
    logging.getLogger("simulator"),
    processors=[
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer(),
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
)


@dataclass(frozen=True)
class SimulatorSettings:
    """How one simulator runs. The default paths are the published ones; they can be changed."""

    database: str = IN_MEMORY
    adjust_path: str = ADJUST_PATH
    cancel_adjust_path: str = CANCEL_ADJUST_PATH
    cancel_operation_path: str = CANCEL_OPERATION_PATH
    hold_max_s: float = 60.0
    """Longest time that a request is held open, in seconds; then its connection is reset."""


class SimulatorService:
    """One running simulator. On the database of a killed simulator it continues where that one stopped."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self.database = DatabaseThread(settings.database)
        self.handler = RequestHandler(self.database.connection)
        self._delays_changed = asyncio.Event()
        self._delay_task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Apply delayed adjusts when they are due, for the length of the block; then close the database."""
        await self.database.run(self.handler.journal.close_interrupted)
        self._delay_task = asyncio.create_task(self._apply_delayed_adjusts(), name="simulator-delayed-adjusts")
        try:
            yield
        finally:
            self._delay_task.cancel()
            with suppress(asyncio.CancelledError):
                await self._delay_task
            self.database.close()

    async def handle(self, request: Request) -> tuple[int, HandledReply]:
        """Handle one request (`RequestHandler.handle`), after all that were received before it."""
        handled = await self.database.run(self.handler.handle, request)
        self._delays_changed.set()
        return handled

    def healthy(self) -> bool:
        """Tell whether delayed adjusts are still applied; if they are not, the books would be wrong."""
        return self._delay_task is not None and not self._delay_task.done()

    async def _apply_delayed_adjusts(self) -> None:
        while True:
            self._delays_changed.clear()
            for number in await self.database.run(self.handler.books.apply_due, time.time_ns()):
                log.info("adjust_landed", requestUniqueNo=number)
            due_ns = await self.database.run(self.handler.books.next_due_ns)
            wait_s = None if due_ns is None else max(0.0, (due_ns - time.time_ns()) / _NS_PER_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._delays_changed.wait()
