"""The API process: `python -m api`."""

import asyncio
import signal
from types import FrameType

import uvicorn

from api.app import create_app
from api.keys import Keys
from api.server import configured
from api.services import Services
from config.ending import Ending
from config.logging import configure_logging
from config.pepper import load_pepper
from config.settings import load_api_settings
from config.temporal import connect
from config.tracing import open_tracing
from ledger import Batches, KeyRing, Ledger, open_engine
from workflows.runtime import DATA_CONVERTER

DRAIN_S = 65
"""On SIGTERM a caller who waits (at most `prefer.WAIT_MAX_S`) still gets the answer."""


END_LIMIT_S = DRAIN_S + 5
"""From SIGTERM to the end of the process, whatever hangs."""


class _Server(uvicorn.Server):
    """uvicorn, which waits for answers that are due, but not for ever."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ending = Ending(END_LIMIT_S, lambda: [f"{len(self.server_state.tasks)} requests"])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; a second signal ends the process at once."""
        self._ending.signalled(sig)
        super().handle_exit(sig, frame)


async def main() -> None:
    """Serve until SIGTERM or SIGINT, then let the answers that are due go out."""
    settings = load_api_settings()
    pepper = load_pepper(settings)
    configure_logging(settings.log_format, settings.log_level)
    engine = open_engine(settings.ledger_url)
    # Lists, event streams and batches have connections of their own: an order is accepted however many there are.
    readers = open_engine(settings.ledger_url)
    # Lazy: the front door opens, and says what it can, while Temporal is away.
    tracing = open_tracing("order-settlement-api")
    temporal = await connect(
        DATA_CONVERTER, f"127.0.0.1:{settings.temporal_port}", lazy=True, interceptors=tracing.interceptors
    )
    app = create_app(
        Services(settings, Ledger(engine, readers), temporal, Keys(KeyRing(engine), pepper), Batches(readers)),
        tracing.provider,
    )
    server = _Server(configured(app, settings, drain_s=DRAIN_S))
    # An open event stream would hold the end back for as long as answers may take.
    app.state.streams.stopping = lambda: server.should_exit
    # uvicorn raises the signal anew once it has drained; that must not end us before the rest is closed.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        await server.serve()
    finally:
        await engine.dispose()
        await readers.dispose()
        await tracing.close()


if __name__ == "__main__":
    asyncio.run(main())
