"""GET …/events: a settlement's state changes as server-sent events, from the ledger alone.

Written out by hand rather than by FastAPI's own event streams: those describe themselves in OpenAPI 3.2,
and the rest of the document is 3.1.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import ExitStack, aclosing
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import Receive, Scope, Send

from api.http.access import Reader, may_still
from api.http.parameters import Plain
from api.http.problems import documented
from api.services import services_of
from api.settlements.event_streams import Streams
from api.settlements.resource import SETTLEMENTS, NumberInPath, not_found
from config.sampling import SampledLog
from ledger import Ledger
from ledger.events import EVENTS_MAX, Events, NumberedEvent
from schemas.problems import ErrorCode
from settlement.keys import Permission

log = SampledLog(structlog.get_logger())
router = APIRouter()

SILENCE_MAX_S = 15.0
"""After so long without an event a comment keeps proxies from closing the connection."""
LIFETIME_S = 300.0
"""Then the stream ends, and the client goes on where it was."""
EVENT_ID_MAX = 2**31 - 1
CONTENT_TYPE = "text/event-stream"
_RETRY_MS = 1000

EventId = Annotated[int, Field(ge=0, le=EVENT_ID_MAX), Plain]
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The events, as they come", "content": {CONTENT_TYPE: {"schema": {"type": "string"}}}},
    204: {"description": "The settlement has ended, and nothing came after the event that was named"},
    **documented(
        ErrorCode.NOT_FOUND,
        ErrorCode.VALIDATION_FAILED,
        ErrorCode.LEDGER_UNAVAILABLE,
        ErrorCode.TOO_MANY_STREAMS_OF_CLIENT,
        ErrorCode.TOO_MANY_STREAMS,
    ),
}


@router.get(SETTLEMENTS + "/{requestUniqueNo}/events", responses=RESPONSES, response_class=Response)
async def get_settlement_events(
    request: Request,
    number: NumberInPath,
    caller: Reader,
    last_event_id: Annotated[EventId | None, Header(description="The id of the last event that was received.")] = None,
    after: Annotated[EventId | None, Query(description="The same, for whoever cannot set the header.")] = None,
) -> Response:
    """Follow a settlement: one event `state` for every state it enters, in order, none twice, until its end.

    Event 0 is its acceptance. The stream also ends by itself after five minutes; ask again with the header
    `Last-Event-ID`, as every event source does by itself. An ABORTED settlement is not at its end. A stream whose key
    is revoked ends within 5 seconds.
    """
    given = last_event_id if last_event_id is not None else after
    behind = -1 if given is None else given
    services = services_of(request)
    streams: Streams = request.app.state.streams
    with ExitStack() as held:
        held.enter_context(streams.place(request, caller))
        events = await services.ledger.events(number, behind)
        if events is None:
            raise not_found(number)
        if events.ended and not events.events:
            return Response(status_code=HTTPStatus.NO_CONTENT)
        stream = _Stream(services.ledger, streams, number, behind, partial(may_still, request, Permission.READ))
        return _StreamResponse(stream.lines(events), held.pop_all())


class _StreamResponse(StreamingResponse):
    """An event stream that gives its place free however it ends, even before its first line."""

    def __init__(self, lines: AsyncGenerator[str], held: ExitStack) -> None:
        super().__init__(
            lines,
            media_type=f"{CONTENT_TYPE}; charset=utf-8",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._lines = lines
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines."""
        with self._held:
            async with aclosing(self._lines):
                await super().__call__(scope, receive, send)


class _Stream:
    """One client following one settlement."""

    def __init__(
        self, ledger: Ledger, streams: Streams, number: str, behind: int, may_still_read: Callable[[], Awaitable[bool]]
    ) -> None:
        self._ledger = ledger
        self._streams = streams
        self._number = number
        self._behind = behind
        self._may_still_read = may_still_read
        self._seen: int | None = None
        """The version whose events have all been read."""

    async def lines(self, first: Events) -> AsyncGenerator[str]:
        """Yield what is sent, until the end of the settlement, the stream, the key or the process."""
        clock = asyncio.get_running_loop().time
        ends_at, spoke_at = clock() + LIFETIME_S, clock()
        yield f"retry: {_RETRY_MS}\n\n"
        events: Events | None = first
        with self._streams.feed.follow(self._number) as followed:
            while True:
                for numbered in events.events if events else ():
                    self._behind, spoke_at = numbered.event_id, clock()
                    yield _written(numbered)
                    if numbered.is_last:
                        return
                if clock() >= ends_at or self._streams.stopping():
                    return
                if clock() - spoke_at >= SILENCE_MAX_S:
                    spoke_at = clock()
                    yield ": still here\n\n"
                await self._streams.feed.next_look()
                may_read = await self._may_read()
                if may_read is False:
                    return
                events = await self._look(followed.version) if may_read else None

    async def _may_read(self) -> bool | None:
        """Tell whether the key may still read; None while that cannot be found out: nothing is sent then."""
        try:
            return await self._may_still_read()
        except (SQLAlchemyError, OSError):
            return None

    async def _look(self, version: int | None) -> Events | None:
        """Return what is new; None: nothing, or the ledger is out of reach. The stream outlives an outage of it."""
        if version == self._seen:
            return None
        try:
            events = await self._ledger.events(self._number, self._behind)
        except (SQLAlchemyError, OSError) as error:
            log.warning("events not read", error=type(error).__name__)
            return None
        if events is not None and len(events.events) < EVENTS_MAX:
            self._seen = version
        return events


def _written(numbered: NumberedEvent) -> str:
    return f"id: {numbered.event_id}\nevent: state\ndata: {numbered.event.model_dump_json()}\n\n"
