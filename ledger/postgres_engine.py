"""The engine on PostgreSQL: every commit on disk, and dead connections replaced without asking the server."""

import select
from typing import Any

from sqlalchemy import URL, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


def open_postgres(url: URL, timeout_s: int) -> AsyncEngine:
    """Return an engine. `timeout_s` limits a statement, the wait for a lock or a connection, and a connect."""
    # Set explicitly: the server or the database may have other defaults.
    options = f"-c statement_timeout={timeout_s}s -c lock_timeout={timeout_s}s -c synchronous_commit=on"
    engine = create_async_engine(
        url,
        # Error texts go into logs and histories; the parameters are personal data.
        hide_parameters=True,
        pool_size=10,
        max_overflow=10,
        pool_timeout=timeout_s,
        connect_args={"connect_timeout": timeout_s, "options": options},
    )
    event.listen(engine.sync_engine, "checkout", _replace_if_dead)
    return engine


def _replace_if_dead(connection: Any, *_: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own objects
    """Let the pool replace its connections if the server has closed this one, as after its restart.

    A server says nothing on an idle connection, so a readable socket means its end. `pool_pre_ping` would ask the
    server before each transaction: one more round trip and one more transaction, twice for each settlement.
    """
    driver_connection = connection.driver_connection
    if driver_connection.closed or _is_readable(driver_connection.fileno()):
        raise InvalidatePoolError


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
