"""A server that answers by a script and keeps what it was asked: for answers that no healthy API gives."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from fastapi import FastAPI, Request
from starlette.responses import Response, StreamingResponse


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Scripted:
    """Gives the answers of its script one after the other, the last one for ever; at some paths always the same."""

    answers: list[Response]
    always: dict[str, Response] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    def app(self) -> FastAPI:
        """Return it as an application: every path, every method."""
        app = FastAPI(openapi_url=None)

        async def answer(request: Request) -> Response:
            body = await request.body()
            self.seen.append(
                Seen(
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
    """Return a 503 as the API gives it."""
    body = '{"type":"urn:x","title":"Ledger unavailable","status":503,"code":"ledger-unavailable","detail":"away"}'
    return Response(body, 503, {"Retry-After": retry_after}, "application/problem+json")


def json_answer(body: str, status: int = 200) -> Response:
    """Return JSON."""
    return Response(body, status, media_type="application/json")


def stream(*parts: str, hangs: bool = False, breaks: bool = False) -> Response:
    """Return an event stream of parts, which then ends, or hangs, or breaks off in the middle of a chunk."""

    async def content() -> AsyncIterator[str]:
        for part in parts:
            yield part
        if breaks:
            raise ConnectionError
        if hangs:
            await asyncio.Event().wait()

    return StreamingResponse(content(), media_type="text/event-stream")


def dripping() -> Response:
    """Return an answer of which a little more always comes and that never ends."""

    async def content() -> AsyncIterator[str]:
        while True:
            yield " "
            await asyncio.sleep(0.02)

    return StreamingResponse(content(), media_type="application/json")


def hanging(beginning: str = "") -> Response:
    """Return an answer that begins and never ends."""

    async def content() -> AsyncIterator[str]:
        yield beginning
        await asyncio.Event().wait()

    return StreamingResponse(content(), media_type="application/json")
