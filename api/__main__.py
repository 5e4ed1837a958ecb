"""The API process: `python -m api`."""

import asyncio
import signal
import sys
from types import FrameType

import structlog
import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from activities.temporal_calls import TemporalCallError
from activities.temporal_guard import WrongTemporalError
from api.app import create_app
from api.http.server import configured
from api.keys.recognition import Keys
from api.services import Services
from api.temporal_access import TemporalAccess
from config.logging import configure_logging
from config.pepper import load_pepper
from config.process import ShutdownLimit, keep_files_private
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
        self._shutdown_limit = ShutdownLimit(END_LIMIT_S, lambda: [f"{len(self.server_state.tasks)} requests"])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; a second signal ends the process at once."""
        self._shutdown_limit.on_signal(sig)
        super().handle_exit(sig, frame)


IDENTITY_LIMIT_S = 5.0
"""How long the start waits to learn whether the ledger belongs to this Temporal."""

log = structlog.get_logger()


async def main() -> int:
    """Serve until SIGTERM or SIGINT, then let the answers that are due go out.

    Return the exit code: 1 where the ledger belongs to another Temporal. While either of them is away the API starts,
    serves what it can read, starts no workflow, and compares them as soon as both answer.
    """
    keep_files_private()
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
    access = TemporalAccess(temporal, engine)
    if (wrong := await _wrong_temporal(access)) is not None:
        print(f"not started: {wrong}", file=sys.stderr)  # noqa: T201 - for whoever starts it
        await engine.dispose()
        await readers.dispose()
        await tracing.close()
        return 1
    keys = Keys(KeyRing(engine), pepper)
    app = create_app(
        Services(settings, Ledger(engine, readers), access, keys, Batches(readers)),
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
    return 0


async def _wrong_temporal(access: TemporalAccess) -> WrongTemporalError | None:
    try:
        async with asyncio.timeout(IDENTITY_LIMIT_S):
            await access.check()
    except WrongTemporalError as wrong:
        return wrong
    except (TemporalCallError, SQLAlchemyError, OSError) as error:
        log.warning("Temporal's identity is checked later", error=str(error) or type(error).__name__)
    return None


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
