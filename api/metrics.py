"""Prometheus metrics of the API process, and GET /metrics."""

import asyncio
import time

import structlog
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import ledger_gauges
from api.http.access import InstallationReader
from api.services import Injected
from config.payload_keys import FILE_CURRENT as KEYS_FILE_CURRENT
from config.payload_keys import FILE_CURRENT_HELP as KEYS_FILE_CURRENT_HELP
from config.watched_systems import FILE_CURRENT, FILE_CURRENT_HELP
from ledger import Gauges, Ledger

log = structlog.get_logger()
router = APIRouter()

REQUESTS = Counter(
    "settlement_http_requests_total", "HTTP responses by route, method and status.", ["route", "method", "status"]
)
DURATION = Histogram(
    "settlement_http_request_duration_seconds", "Response time, including the wait for a decision.", ["route", "method"]
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""All other methods share one label value, so that a caller cannot create label values."""

GAUGES_LIMIT_S = 2.0
"""How long a scrape waits for the ledger's gauges. The other metrics must be available during an outage."""
CHECK_LIMIT_S = 1.0
"""How long the scrape then waits for the ledger to respond at all."""

SYSTEMS_CURRENT = Gauge(FILE_CURRENT, FILE_CURRENT_HELP)
ORDER_LIMITS_CURRENT = Gauge(
    "settlement_order_limits_current",
    "1 if the newest content of the file of order limits is in use, 0 if it was rejected.",
)
PAYLOAD_KEYS_CURRENT = Gauge(KEYS_FILE_CURRENT, KEYS_FILE_CURRENT_HELP)
AMOUNT_LIMITED = Counter("settlement_amount_limited_total", "Orders refused because of an order limit.", ["limit"])
ACCEPTED = Counter("settlement_accepted_total", "New settlements accepted.")
DECISIONS = Counter("settlement_decisions_total", "Decisions returned by a POST.", ["decision"])
DECISION_LATENCY = Histogram(
    "settlement_decision_latency_seconds",
    "Time from a POST to its decision, for requests that waited for the decision.",
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 3.25, 3.5, 4, 6, 10, 15, 30, 60),
)


@router.get("/metrics", include_in_schema=False)
async def metrics(services: Injected, _: InstallationReader) -> Response:
    """Return the metrics of this process and the gauges of the ledger."""
    SYSTEMS_CURRENT.set(services.systems.file.is_current)
    ORDER_LIMITS_CURRENT.set(services.order_limits.file.is_current)
    PAYLOAD_KEYS_CURRENT.set(services.codec is None or services.codec.keys.watched.file.is_current)
    gauges, ledger_is_up = await _read(services.ledger)
    exposed = generate_latest() + ledger_gauges.exposition(gauges, ledger_is_up=ledger_is_up)
    return Response(exposed, media_type=CONTENT_TYPE_LATEST)


async def _read(ledger: Ledger) -> tuple[Gauges | None, bool]:
    """Return the ledger's gauges, and whether the ledger is up. It can be up although its gauges took too long."""
    try:
        async with asyncio.timeout(GAUGES_LIMIT_S):
            return await ledger.gauges(), True
    except TimeoutError:
        log.warning("gauges of the ledger not read in time", limit_s=GAUGES_LIMIT_S)
    except (SQLAlchemyError, OSError) as error:
        log.warning("gauges of the ledger not read", error=type(error).__name__)
        return None, False
    try:
        async with asyncio.timeout(CHECK_LIMIT_S):
            await ledger.check()
    except (SQLAlchemyError, OSError):
        return None, False
    return None, True


class MetricsMiddleware:
    """Counts and times every response. The label is the route's pattern, never the raw path with its numbers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and record its response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def recording_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, recording_send)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in METHODS else "other"
            REQUESTS.labels(route, method, status).inc()
            DURATION.labels(route, method).observe(time.perf_counter() - started)
