"""The FastAPI application: routes, middleware, error handlers and background tasks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from opentelemetry.trace import TracerProvider

from api import external_systems, health, metrics, reconciliation, security_events
from api.batch_retry import routes as batch_routes
from api.broker_statement import routes as statement_routes
from api.codec_server import login as codec_login
from api.codec_server import routes as codec_routes
from api.codec_server.cors import CodecCorsMiddleware
from api.codec_server.sessions import CodecServer
from api.http import openapi, problems
from api.http.access import AccessMiddleware
from api.http.route_match import RoutablePathMiddleware
from api.http.security_headers import SecurityHeadersMiddleware
from api.http.strict_body import BodyLimitMiddleware
from api.http.strict_requests import StrictRequestMiddleware
from api.keys import routes as key_routes
from api.recorded_limits import watch_limits
from api.services import Services
from api.settlements import events, explain, operator_actions, post, read
from api.settlements.event_streams import Streams

DESCRIPTION = """
Changes a customer's credit at the broker for each order. A change that was not certainly applied is cancelled.

An order may proceed only on `decision: PROCEED`. Each error code says what the error means for the money.
"""

ROUTERS = (
    post.router,
    read.router,
    events.router,
    explain.router,
    operator_actions.router,
    batch_routes.router,
    reconciliation.router,
    external_systems.router,
    statement_routes.router,
    statement_routes.lines_router,
    key_routes.router,
    security_events.router,
    health.router,
    metrics.router,
)
CODEC_ROUTERS = (codec_routes.router, codec_login.router)
"""The routes of the codec server. They exist only if payloads are encrypted."""


def telemetry(tracer_provider: TracerProvider | None) -> TelemetryConfig:
    """Return FastAPI's telemetry settings: trace POST requests if there is a provider, and nothing else.

    Every other part is switched off explicitly. Otherwise a library that sets a global provider would switch it on.
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


def provide(app: FastAPI, services: Services) -> None:
    """Give an application its services. All that depends on them is in `app.state`; routes and middleware do not."""
    app.state.services = services
    app.state.streams = Streams(services)
    app.state.readiness = health.Readiness(services)


def create_app(
    services: Services, tracer_provider: TracerProvider | None = None, *, codec: CodecServer | None = None
) -> FastAPI:
    """Return the application for these services, which the caller closes; with the routes of `codec` if it is given."""

    @asynccontextmanager
    async def lifespan(running: FastAPI) -> AsyncIterator[None]:
        provided: Services = running.state.services
        payload_keys = () if provided.codec is None else (provided.codec.keys.watched,)
        watched = (provided.temporal, provided.systems, provided.order_limits, *payload_keys)
        watches = [asyncio.create_task(each.watch()) for each in watched]
        watches.append(asyncio.create_task(watch_limits(provided)))
        yield
        for each in watches:
            each.cancel()
        await asyncio.wait(watches)
        await provided.refused_keys.close()

    # FastAPI, except that the assets of /docs come from this process and not from a CDN.
    app = FastAPIOffline(
        redoc_url=None,
        title="Order settlement",
        version=version("order-settlement"),
        description=DESCRIPTION,
        lifespan=lifespan,
        generate_unique_id_function=openapi.operation_id,
        redirect_slashes=False,
        telemetry=telemetry(tracer_provider),
        # By default Swagger UI sends the document's address to a validator on the internet.
        swagger_ui_parameters={"validatorUrl": None},
    )
    provide(app, services)
    problems.install(app)
    routers = ROUTERS if codec is None else (*ROUTERS, *CODEC_ROUTERS)
    for router in routers:
        app.include_router(router)
    app.state.endpoints = [route for router in routers for route in router.routes]
    app.add_middleware(BodyLimitMiddleware)
    app.add_middleware(StrictRequestMiddleware)
    app.add_middleware(AccessMiddleware)
    app.add_middleware(metrics.MetricsMiddleware)
    app.add_middleware(RoutablePathMiddleware)
    if codec is not None:
        app.add_middleware(CodecCorsMiddleware, ui_origin=codec.ui_origin)
    _add_outermost(app)
    app.openapi = openapi.describe(app)  # type: ignore[method-assign] # FastAPI's documented way to extend it
    return app


def _add_outermost(app: FastAPI) -> None:
    """Add the security headers around everything. A middleware would be inside of what answers unexpected errors."""
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: SecurityHeadersMiddleware(build())  # type: ignore[method-assign] # there is no other place outside
