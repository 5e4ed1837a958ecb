"""A server that sends scripted responses, also those that a healthy API never sends, and records the requests."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from fastapi import FastAPI, Request
from starlette.responses import Response, StreamingResponse


@dataclass(frozen=True)
class ReceivedRequest:
    """One request that the server has received."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class ScriptedApi:
    """Sends its responses in order and repeats the last one; paths in `always` have a fixed response."""

    answers: list[Response]
    always: dict[str, Response] = field(default_factory=dict)
    requests: list[ReceivedRequest] = field(default_factory=list)

    def app(self) -> FastAPI:
        """Return the application; it accepts every path with GET and POST."""
        app = FastAPI(openapi_url=None)

        async def answer(request: Request) -> Response:
            body = await request.body()
            self.requests.append(
                ReceivedRequest(
                    request.method,
                    request.scope["raw_path"].decode(),
                    dict(request.query_params),
                    dict(request.headers),
                    body,
                )
            )
            if request.url.path in self.always:
                return self.always[request.url.path]
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

        app.add_api_route("/{path:path}", answer, methods=["GET", "POST"])
        return app


def unavailable(retry_after: str = "0") -> Response:
    """Return a 503 of the API."""
    body = '{"type":"urn:x","title":"Ledger unavailable","status":503,"code":"ledger-unavailable","detail":"away"}'
    return Response(body, 503, {"Retry-After": retry_after}, "application/problem+json")


def json_answer(body: str, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(body, status, media_type="application/json")


def stream(*parts: str, hangs: bool = False, breaks: bool = False) -> Response:
    """Return an event stream of these parts, which then ends, hangs, or breaks in the middle of a chunk."""

    async def content() -> AsyncIterator[str]:
        for part in parts:
            yield part
        if breaks:
            raise ConnectionError
        if hangs:
            await asyncio.Event().wait()

    return StreamingResponse(content(), media_type="text/event-stream")


def dripping() -> Response:
    """Return an endless response that sends one byte at a time."""

    async def content() -> AsyncIterator[str]:
        while True:
            yield " "
            await asyncio.sleep(0.02)

    return StreamingResponse(content(), media_type="application/json")


def hanging(beginning: str = "") -> Response:
    """Return a response that sends `beginning` and then hangs."""

    async def content() -> AsyncIterator[str]:
        yield beginning
        await asyncio.Event().wait()

    return StreamingResponse(content(), media_type="application/json")
