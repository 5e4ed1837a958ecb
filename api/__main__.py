"""The API process: `python -m api`."""

import asyncio
import signal

import uvicorn

from api.app import create_app
from api.keys import Keys
from api.services import Services
from config.files import owner_only
from config.logging import configure_logging
from config.pepper import load_pepper
from config.settings import load_api_settings
from config.temporal import connect
from config.tracing import open_tracing
from ledger import Batches, KeyRing, Ledger, open_engine
from workflows.runtime import DATA_CONVERTER

DRAIN_S = 65
"""On SIGTERM a caller who waits (at most `prefer.WAIT_MAX_S`) still gets the answer."""

KEEP_ALIVE_S = 75
"""Longer than clients and proxies keep an idle connection, so that the close is theirs: a POST that is sent on a
connection just being closed is lost, and its caller must ask again."""


async def main() -> None:
    """Serve until SIGTERM or SIGINT, then let the answers that are due go out."""
    owner_only()
    settings = load_api_settings()
    pepper = load_pepper(settings)
    configure_logging(settings.log_format, settings.log_level)
    engine = open_engine(settings.ledger_url)
    # Lazy: the front door opens, and says what it can, while Temporal is away.
    tracing = open_tracing("order-settlement-api")
    temporal = await connect(
        DATA_CONVERTER, f"127.0.0.1:{settings.temporal_port}", lazy=True, interceptors=tracing.interceptors
    )
    app = create_app(
        Services(settings, Ledger(engine), temporal, Keys(KeyRing(engine), pepper), Batches(engine)), tracing.provider
    )
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.api_host,
            port=settings.api_port,
            log_config=None,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
        )
    )
    # An open event stream would hold the end back for as long as answers may take.
    app.state.streams.stopping = lambda: server.should_exit
    # uvicorn raises the signal anew once it has drained; that must not end us before the rest is closed.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        await server.serve()
    finally:
        await engine.dispose()
        await tracing.close()


if __name__ == "__main__":
    asyncio.run(main())
