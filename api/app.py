"""Put the front door together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from opentelemetry.trace import TracerProvider

from api import exposure as get_exposure
from api import health, metrics, reconciliation
from api.batch_retry import routes as batch_retries
from api.http import openapi, problems
from api.http.access import AccessMiddleware
from api.http.route_match import RoutablePathMiddleware
from api.http.strict_body import BodyLimitMiddleware
from api.http.strict_requests import StrictRequestMiddleware
from api.keys import routes as api_keys
from api.services import Services
from api.settlements import events as settlement_events
from api.settlements import explain as explain_settlement
from api.settlements import get as get_settlement
from api.settlements import list as list_settlements
from api.settlements import operator_actions
from api.settlements import post as post_settlement
from api.settlements.event_streams import Streams

DESCRIPTION = """
Settle the money side of an order at the broker's external system, durably.

The order may proceed only on `decision: PROCEED`. Every error says what it means for the money.
"""


def telemetry(tracer_provider: TracerProvider | None) -> TelemetryConfig:
    """Trace POSTs, from which all work begins, where there is a provider; leave all else of FastAPI's telemetry off.

    Off is said outright: a library that sets a global provider must not turn it on.
    """
    return {
        "tracing": tracer_provider is not None,
        "tracer_provider": tracer_provider,
        "exclude": lambda scope: scope.get("method") != "POST",
        "operation_spans": False,
        "metrics": False,
        "logs": False,
        "auto_configure": False,
    }


def create_app(services: Services, tracer_provider: TracerProvider | None = None) -> FastAPI:
    """Return the application over given services; it closes none of them."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watch = asyncio.create_task(services.temporal.watch())
        yield
        watch.cancel()
        await asyncio.wait([watch])

    # FastAPI itself, with the assets of /docs served from here instead of from a CDN.
    app = FastAPIOffline(
        redoc_url=None,
        title="Order settlement",
        version=version("order-settlement"),
        description=DESCRIPTION,
        lifespan=lifespan,
        generate_unique_id_function=openapi.operation_id,
        redirect_slashes=False,
        telemetry=telemetry(tracer_provider),
        # Swagger UI would send the document's address to a validator on the internet.
        swagger_ui_parameters={"validatorUrl": None},
    )
    app.state.services = services
    app.state.streams = Streams(services)
    app.state.readiness = health.Readiness(services)
    problems.install(app)
    endpoints = (
        post_settlement,
        get_settlement,
        list_settlements,
        settlement_events,
        explain_settlement,
        get_exposure,
        operator_actions,
        batch_retries,
        reconciliation,
        api_keys,
        health,
        metrics,
    )
    for endpoint in endpoints:
        app.include_router(endpoint.router)
    app.state.endpoints = [route for endpoint in endpoints for route in endpoint.router.routes]
    app.add_middleware(BodyLimitMiddleware)
    app.add_middleware(StrictRequestMiddleware)
    app.add_middleware(AccessMiddleware)
    app.add_middleware(metrics.MetricsMiddleware)
    app.add_middleware(RoutablePathMiddleware)
    app.openapi = openapi.describe(app)  # type: ignore[method-assign] # FastAPI's documented way to extend it
    return app
