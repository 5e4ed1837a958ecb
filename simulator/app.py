"""The three operations of the contract as HTTP paths."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi import Request as HttpRequest
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from contract.adjust import AdjustRequest
from contract.calls import Operation
from contract.cancel_adjust import CancelAdjustRequest
from contract.cancel_operation import CancelOperationRequest
from contract.reply import ExternalReply
from simulator import inspection
from simulator.connection import LINE, Line
from simulator.delivery import Delivery
from simulator.desk import BODY_SIZE_MAX
from simulator.journal import Request
from simulator.office import Office, Settings

BODY_MODELS: dict[Operation, type[BaseModel]] = {
    Operation.ADJUST: AdjustRequest,
    Operation.CANCEL_ADJUST: CancelAdjustRequest,
    Operation.CANCEL_OPERATION: CancelOperationRequest,
}


def create_app(settings: Settings) -> FastAPI:
    """Build the simulator's application; its database is open from startup to shutdown.

    It needs `SimulatorProtocol` under it (`server.py` sees to that).
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        office = Office(settings)
        app.state.office = office
        async with office.open():
            yield

    app = FastAPI(title="External system simulator", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.include_router(inspection.router)
    paths = {
        Operation.ADJUST: settings.adjust_path,
        Operation.CANCEL_ADJUST: settings.cancel_adjust_path,
        Operation.CANCEL_OPERATION: settings.cancel_operation_path,
    }
    for operation, path in paths.items():
        _add(app, operation, path)
    # The document is made once and kept by FastAPI, so what is added to it here stays in it.
    schemas = app.openapi()["components"]["schemas"]
    for operation in paths:
        schemas |= _schema_of(operation).get("$defs", {})
    return app


def _add(app: FastAPI, operation: Operation, path: str) -> None:
    schema = {key: part for key, part in _schema_of(operation).items() if key != "$defs"}
    app.add_api_route(
        path,
        _endpoint(operation),
        methods=["POST"],
        name=operation.lower(),
        deprecated=operation is Operation.CANCEL_OPERATION,
        responses={200: {"model": ExternalReply}},
        # The bodies are read by the desk, which answers a broken rule by table 4; here they are only described.
        openapi_extra={"requestBody": {"content": {"application/json": {"schema": schema}}}},
    )


def _schema_of(operation: Operation) -> dict[str, Any]:
    return BODY_MODELS[operation].model_json_schema(ref_template="#/components/schemas/{model}")


def _endpoint(operation: Operation) -> Callable[[HttpRequest], Awaitable[Response]]:
    async def endpoint(http: HttpRequest) -> Response:
        office: Office = http.app.state.office
        line: Line = http.scope["state"][LINE]
        received_ns = line.received_ns
        try:
            body = await _read(http)
        except ClientDisconnect:
            return Response()  # there is nobody to send it to
        request = Request(operation, received_ns, http.headers, body)
        call_id, answer = await office.handle(request)
        return Delivery(office, request, line, call_id, answer)

    return endpoint


async def _read(http: HttpRequest) -> bytes:
    """Read the body, and stop one byte past the longest allowed: the desk refuses it then."""
    body = bytearray()
    async for chunk in http.stream():
        body += chunk
        if len(body) > BODY_SIZE_MAX:
            break
    return bytes(body[: BODY_SIZE_MAX + 1])
