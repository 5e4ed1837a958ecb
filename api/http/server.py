"""The configuration of uvicorn, the HTTP server of the API process."""

import resource

import structlog
import uvicorn
from fastapi import FastAPI

from api.http.connections import REFUSALS_OPEN_MAX, Connections, Limits
from api.http.protocol import limited_protocol
from config.settings import Settings

log = structlog.get_logger()

KEEP_ALIVE_S = 75
"""Longer than clients and proxies keep an idle connection open, so that they close it first. If the server did, a POST
sent on the connection at that moment would be lost, and its caller would have to repeat it."""
DESCRIPTORS_RESERVED = 256
"""File descriptors for everything but callers' connections: databases, Temporal, logs, modules."""


def uvicorn_config(app: FastAPI, settings: Settings, *, drain_s: int) -> uvicorn.Config:
    """Return uvicorn's configuration. Requests in progress may take `drain_s` seconds after SIGTERM."""
    total = connection_limit(settings.api_connections_max)
    limits = Limits(
        total=total,
        per_client=min(settings.api_connections_per_client, total),
        receive_s=settings.api_receive_timeout_s,
    )
    return uvicorn.Config(
        app,
        host=settings.api_host,
        port=settings.api_port,
        http=limited_protocol(Connections(limits)),
        ws="none",
        # A caller must not choose the address that its connections are counted for.
        proxy_headers=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=drain_s,
    )


def connection_limit(connections: int) -> int:
    """Return how many connections the process may have: `connections`, or fewer (at least 1) if descriptors are short.

    Raises the soft limit of file descriptors of the process as far as the system allows.
    """
    needed = connections + REFUSALS_OPEN_MAX + DESCRIPTORS_RESERVED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return connections
    fit = max(1, soft - REFUSALS_OPEN_MAX - DESCRIPTORS_RESERVED)
    log.warning("fewer connections than configured: too few file descriptors", connections=fit, descriptors=soft)
    return fit
