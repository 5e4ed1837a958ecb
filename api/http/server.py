"""The HTTP server of the API process: uvicorn with its limits."""

import resource

import structlog
import uvicorn
from fastapi import FastAPI

from api.http.connections import LINGERING_MAX, Connections, Limits
from api.http.protocol import limited_protocol
from config.settings import Settings

log = structlog.get_logger()

KEEP_ALIVE_S = 75
"""Longer than clients and proxies keep an idle connection, so that the close is theirs: a POST that is sent on a
connection just being closed is lost, and its caller must ask again."""
DESCRIPTORS_RESERVED = 256
"""For everything but callers' connections: databases, Temporal, logs, modules."""


def configured(app: FastAPI, settings: Settings, *, drain_s: int) -> uvicorn.Config:
    """Return uvicorn's configuration; `drain_s` is how long answers that are due may take after SIGTERM."""
    total = fitting(settings.api_connections_max)
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
        # A caller must not choose the address that it is counted under.
        proxy_headers=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=drain_s,
    )


def fitting(connections: int) -> int:
    """Return how many connections the process may have: all of them, if the system lets it open enough files.

    Raises the process's own limit as far as the system allows. At least one connection is left.
    """
    needed = connections + LINGERING_MAX + DESCRIPTORS_RESERVED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return connections
    fit = max(1, soft - LINGERING_MAX - DESCRIPTORS_RESERVED)
    log.warning("fewer connections than configured: too few file descriptors", connections=fit, descriptors=soft)
    return fit
