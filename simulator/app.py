"""The simulator as an ASGI application: the three operations of the contract as HTTP paths."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import FastAPI
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from contract.fields import restore_integer_bounds
from contract.operations import ExternalReply, Operation
from simulator import inspection, openapi
from simulator.call_journal import Request
from simulator.connection import CONNECTION_KEY, RequestConnection
from simulator.delivery import Delivery
from simulator.request_handler import BODY_SIZE_MAX
from simulator.service import SimulatorService, SimulatorSettings
from simulator.strict import StrictMiddleware, ambiguities


def create_app(settings: SimulatorSettings) -> FastAPI:
    """Build the simulator's application; its database is open from startup to shutdown.

    It must run under `SimulatorProtocol` (`server.py` does this), which gives each request its connection.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service = SimulatorService(settings)
        app.state.service = service
        async with service.open():
            yield

    app = FastAPI(
        title="External system simulator",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.add_exception_handler(HTTPStatus.METHOD_NOT_ALLOWED, _method_not_allowed)
    app.add_middleware(StrictMiddleware)
    app.include_router(inspection.router)
    paths = {
        Operation.ADJUST: settings.adjust_path,
        Operation.CANCEL_ADJUST: settings.cancel_adjust_path,
        Operation.CANCEL_OPERATION: settings.cancel_operation_path,
    }
    for operation, path in paths.items():
        _add_route(app, operation, path)
    # FastAPI builds the document once and keeps it, so these changes stay.
    document = app.openapi()
    document["components"]["schemas"] |= openapi.schemas()
    restore_integer_bounds(document)
    return app


async def _method_not_allowed(http: HttpRequest, _: Exception) -> Response:
    """Answer 405 and list the methods of every route at the path; Starlette lists only those of the first route."""
    routes = [*inspection.router.routes, *http.app.routes]
    matching = [route for route in routes if route.matches(http.scope)[0] is not Match.NONE]
    allowed = sorted({method for route in matching for method in getattr(route, "methods", None) or ()})
    return JSONResponse(
        {"detail": "Method Not Allowed"}, HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(allowed)}
    )


def _add_route(app: FastAPI, operation: Operation, path: str) -> None:
    responses = openapi.RESPONSES | {
        200: {**openapi.RESPONSES[200], "model": ExternalReply, "links": openapi.links(operation)}
    }
    app.add_api_route(
        path,
        _endpoint(operation),
        methods=["POST"],
        name=operation.lower(),
        description=openapi.description(operation),
        deprecated=operation is Operation.CANCEL_OPERATION,
        responses=responses,
        # FastAPI does not read the bodies: the request handler does, and refuses a broken rule with a reply of table 4.
        openapi_extra=openapi.request_documentation(operation),
    )


def _endpoint(operation: Operation) -> Callable[[HttpRequest], Awaitable[Response]]:
    async def endpoint(http: HttpRequest) -> Response:
        service: SimulatorService = http.app.state.service
        connection: RequestConnection = http.scope["state"][CONNECTION_KEY]
        received_ns = connection.received_ns
        try:
            body = await _read_body(http)
        except ClientDisconnect:
            return Response()  # the client is gone; nothing is sent
        request = Request(operation, received_ns, http.headers, body, tuple(ambiguities(http.scope)))
        call_id, reply = await service.handle(request)
        return Delivery(service, request, connection, call_id, reply)

    return endpoint


async def _read_body(http: HttpRequest) -> bytes:
    """Read at most one byte more than `BODY_SIZE_MAX`; the request handler refuses a body of that length."""
    body = bytearray()
    async for chunk in http.stream():
        body += chunk
        if len(body) > BODY_SIZE_MAX:
            break
    return bytes(body[: BODY_SIZE_MAX + 1])
