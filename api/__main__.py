"""The API process: `python -m api`."""

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import FrameType
from typing import NamedTuple

import structlog
import uvicorn
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client

from activities.local_decisions import LocalDecisions
from activities.temporal_calls import TemporalCallError
from activities.temporal_guard import WrongTemporalError
from api.app import create_app
from api.codec_server.sessions import BrowserSessions, CodecServer
from api.http.server import uvicorn_config
from api.keys.verification import Keys
from api.services import Services
from api.temporal_access import TemporalAccess
from config.logging import configure_logging
from config.order_limits import load_order_limits
from config.payload_keys import load_payload_keys, payload_codec
from config.process import ShutdownLimit, keep_files_private
from config.settings import Settings, load_api_settings
from config.shared_secrets import load_pepper, load_update_key
from config.temporal import connect
from config.tracing import open_tracing
from config.watched_file import reload_on_sighup
from config.watched_systems import load_systems
from ledger import Batches, KeyRing, Ledger, SystemPauses, open_engine
from settlement.update_signature import UpdateSigner
from workflows.runtime import data_converter

DRAIN_S = 65
"""Requests in progress get this long after SIGTERM: longer than any caller waits (`decision.WAIT_MAX_S`)."""
END_LIMIT_S = DRAIN_S + 5
"""The process ends at most this long after SIGTERM, even if something hangs."""
IDENTITY_LIMIT_S = 5.0
"""Limit for the check, before the start, that the ledger belongs to this Temporal."""

log = structlog.get_logger()


class _Server(uvicorn.Server):
    """Uvicorn, with a limit on how long its shutdown takes."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._shutdown_limit = ShutdownLimit(END_LIMIT_S, lambda: [f"{len(self.server_state.tasks)} requests"])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start the shutdown. A second signal ends the process at once."""
        self._shutdown_limit.on_signal(sig)
        super().handle_exit(sig, frame)


class WorkerHere(NamedTuple):
    """The worker of this process."""

    client: Client
    """Its client. Eager starts need the client of the worker."""
    decisions: LocalDecisions


async def main() -> int:
    """Serve until SIGTERM or SIGINT, complete the requests in progress, and return the exit code of `serve`."""
    keep_files_private()
    settings = load_api_settings()
    configure_logging(settings.log_format, settings.log_level)
    # uvicorn raises the signal again after its shutdown; that must not end the process before the rest is closed.
    signal.signal(signal.SIGTERM, lambda *_: None)
    return await serve(settings)


async def serve(
    settings: Settings, here: WorkerHere | None = None, server_of: Callable[[uvicorn.Config], uvicorn.Server] = _Server
) -> int:
    """Serve until the server that `server_of` returns stops, and return the exit code.

    The exit code is 1 if the ledger belongs to another Temporal. If the ledger or Temporal is unreachable, the API
    starts all the same, but it starts no workflow before it has compared the two. `here` is the worker of this process;
    None if there is none.
    """
    pepper, signer = load_pepper(settings), UpdateSigner(load_update_key(settings))
    systems, order_limits = load_systems(settings), load_order_limits(settings)
    payload_keys = load_payload_keys(settings)
    converter = data_converter(payload_codec(payload_keys))
    sessions = BrowserSessions(pepper)
    codec = CodecServer(payload_keys, sessions, settings.temporal_ui_url) if payload_keys else None
    async with AsyncExitStack() as resources:
        # Lists, event streams and batches use a second pool, so they cannot use up the connections that accept orders.
        engine, readers = open_engine(settings.ledger_url), open_engine(settings.ledger_url)
        resources.push_async_callback(engine.dispose)
        resources.push_async_callback(readers.dispose)
        tracing = open_tracing("order-settlement-api")
        resources.push_async_callback(tracing.close)
        # Lazy: the API starts and answers from the ledger while Temporal is unreachable.
        temporal = (
            here.client
            if here
            else await connect(
                converter, f"127.0.0.1:{settings.temporal_port}", lazy=True, interceptors=tracing.interceptors
            )
        )
        access = TemporalAccess(temporal, engine)
        if (wrong := await _wrong_temporal(access)) is not None:
            print(f"not started: {wrong}", file=sys.stderr)  # noqa: T201 - for the operator who starts it
            return 1
        keys = Keys(KeyRing(engine), pepper)
        resources.push_async_callback(keys.last_use.written)
        reload_on_sighup(systems, order_limits, *([payload_keys.watched] if payload_keys else []))
        services = Services(
            settings,
            Ledger(engine, readers),
            access,
            keys,
            Batches(readers),
            systems,
            SystemPauses(engine),
            signer,
            order_limits,
            here.decisions if here else None,
            codec,
        )
        app = create_app(services, tracing.provider, codec=codec)
        server = server_of(uvicorn_config(app, settings, drain_s=DRAIN_S))
        # Event streams end when the shutdown starts. Otherwise each of them would delay it by up to DRAIN_S.
        app.state.streams.stopping = lambda: server.should_exit
        await server.serve()
    return 0


async def _wrong_temporal(access: TemporalAccess) -> WrongTemporalError | None:
    try:
        async with asyncio.timeout(IDENTITY_LIMIT_S):
            await access.check()
    except WrongTemporalError as wrong:
        return wrong
    except (TemporalCallError, SQLAlchemyError, OSError) as error:
        log.warning("identity of Temporal not checked yet", error=str(error) or type(error).__name__)
    return None


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
