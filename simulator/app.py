"""The three operations of the contract as HTTP paths."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import FastAPI
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from contract.fields import make_bounds_whole
from contract.operations import Operation
from contract.reply import ExternalReply
from simulator import inspection, openapi
from simulator.call_journal import Request
from simulator.connection import LINE, Line
from simulator.delivery import Delivery
from simulator.instance import SimulatorInstance, SimulatorSettings
from simulator.request_handler import BODY_SIZE_MAX
from simulator.strict import StrictMiddleware, misread


def create_app(settings: SimulatorSettings) -> FastAPI:
    """Build the simulator's application; its database is open from startup to shutdown.

    It needs `SimulatorProtocol` under it (`server.py` sees to that).
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        instance = SimulatorInstance(settings)
        app.state.instance = instance
        async with instance.open():
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
        _add(app, operation, path)
    # The document is made once and kept by FastAPI, so what is added to it here stays in it.
    document = app.openapi()
    document["components"]["schemas"] |= openapi.schemas()
    make_bounds_whole(document)
    return app


async def _method_not_allowed(http: HttpRequest, _: Exception) -> Response:
    """Name the methods of every route at the path; Starlette names those of the first one only."""
    routes = [*inspection.router.routes, *http.app.routes]
    there = [each for each in routes if each.matches(http.scope)[0] is not Match.NONE]
    allowed = sorted({method for route in there for method in getattr(route, "methods", None) or ()})
    return JSONResponse(
        {"detail": "Method Not Allowed"}, HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(allowed)}
    )


def _add(app: FastAPI, operation: Operation, path: str) -> None:
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
        # The request handler reads the bodies and answers a broken rule by table 4; here they are only described.
        openapi_extra=openapi.described(operation),
    )


def _endpoint(operation: Operation) -> Callable[[HttpRequest], Awaitable[Response]]:
    async def endpoint(http: HttpRequest) -> Response:
        instance: SimulatorInstance = http.app.state.instance
        line: Line = http.scope["state"][LINE]
        received_ns = line.received_ns
        try:
            body = await _read(http)
        except ClientDisconnect:
            return Response()  # there is nobody to send it to
        request = Request(operation, received_ns, http.headers, body, tuple(misread(http.scope)))
        call_id, answer = await instance.handle(request)
        return Delivery(instance, request, line, call_id, answer)

    return endpoint


async def _read(http: HttpRequest) -> bytes:
    """Read the body, and stop one byte past the longest allowed: the request handler refuses it then."""
    body = bytearray()
    async for chunk in http.stream():
        body += chunk
        if len(body) > BODY_SIZE_MAX:
            break
    return bytes(body[: BODY_SIZE_MAX + 1])
