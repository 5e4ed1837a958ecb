"""One running simulator: its settings, its database, its request handler, and the late adjusts on their way."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from simulator.call_journal import Request
from simulator.database import IN_MEMORY, Store
from simulator.logs import log
from simulator.request_handler import HandledReply, RequestHandler

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class SimulatorSettings:
    """How one simulator runs. The paths are the published ones; they look like placeholders, so they can be set."""

    database: str = IN_MEMORY
    adjust_path: str = "/"
    cancel_adjust_path: str = "/get-user-amount"
    cancel_operation_path: str = "/global/tradeapi.app.OrderApiService.queryPBOOrderPage"
    hold_max_s: float = 60.0
    """Longest time that a request is held open; then its connection is reset."""


class SimulatorInstance:
    """One running simulator. Opening a database that a killed one left behind goes on where it stopped."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self.store = Store(settings.database)
        self.handler = RequestHandler(self.store.connection)
        self._landings_changed = asyncio.Event()
        self._landing: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take up what is pending, let late adjusts land as long as the block lasts, then close the database."""
        await self.store.run(self.handler.journal.close_interrupted)
        self._landing = asyncio.create_task(self._land_for_ever(), name="simulator-landing")
        try:
            yield
        finally:
            self._landing.cancel()
            with suppress(asyncio.CancelledError):
                await self._landing
            self.store.close()

    async def handle(self, request: Request) -> tuple[int, HandledReply]:
        """Deal with one request (`RequestHandler.handle`), after all that came before it."""
        handled = await self.store.run(self.handler.handle, request)
        self._landings_changed.set()
        return handled

    def healthy(self) -> bool:
        """Tell whether late adjusts still land; without that the simulator would lie by omission."""
        return self._landing is not None and not self._landing.done()

    async def _land_for_ever(self) -> None:
        while True:
            self._landings_changed.clear()
            for number in await self.store.run(self.handler.books.land, time.time_ns()):
                log.info("adjust_landed", requestUniqueNo=number)
            due_ns = await self.store.run(self.handler.books.next_landing_ns)
            wait_s = None if due_ns is None else max(0.0, (due_ns - time.time_ns()) / _NS_PER_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._landings_changed.wait()
