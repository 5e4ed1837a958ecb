"""GET …/events: the state changes of a settlement as server-sent events, from the ledger alone.

This does not use FastAPI's event streams: they need OpenAPI 3.2, and the rest of the document is 3.1.
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

from api.http.access import Reader, is_still_authorized
from api.http.problems import documented
from api.http.strict_requests import Plain
from api.services import services_of
from api.settlements.event_streams import Streams
from api.settlements.resource import NOT_IDENTIFIED, SETTLEMENTS, SettlementInPath, identify, not_found
from config.sampling import SampledLog
from ledger import Ledger
from ledger.events import EVENTS_MAX, Events, NumberedEvent
from schemas.problems import ErrorCode
from settlement.ids import SettlementId
from settlement.keys import Permission

log = SampledLog(structlog.get_logger())
router = APIRouter()

KEEP_ALIVE_S = 15.0
"""After this time without an event a comment is sent, so that proxies keep the connection open."""
LIFETIME_S = 300.0
"""After this time the stream ends. The client reconnects and continues after its last event."""
EVENT_ID_MAX = 2**31 - 1
CONTENT_TYPE = "text/event-stream"
_RETRY_MS = 1000

EventId = Annotated[int, Field(ge=0, le=EVENT_ID_MAX), Plain]
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The events, as they happen", "content": {CONTENT_TYPE: {"schema": {"type": "string"}}}},
    204: {"description": "The settlement has ended, and there is no event after the given one"},
    **documented(
        *NOT_IDENTIFIED,
        ErrorCode.VALIDATION_FAILED,
        ErrorCode.LEDGER_UNAVAILABLE,
        ErrorCode.TOO_MANY_STREAMS_OF_CLIENT,
        ErrorCode.TOO_MANY_STREAMS,
    ),
}


@router.get(SETTLEMENTS + "/{requestUniqueNo}/events", responses=RESPONSES, response_class=Response)
async def get_settlement_events(
    request: Request,
    named: SettlementInPath,
    caller: Reader,
    last_event_id: Annotated[EventId | None, Header(description="The id of the last event received.")] = None,
    after: Annotated[EventId | None, Query(description="The same, for clients that cannot set the header.")] = None,
) -> Response:
    """Follow a settlement to its end: one event `state` for each state that it enters, in order, without repeats.

    Event 0 is the acceptance. The stream ends after five minutes; continue with the header `Last-Event-ID`, as the
    EventSource of a browser does. It stays open while the settlement is ABORTED. It ends within 5 seconds after its key
    is revoked or expires.
    """
    given = last_event_id if last_event_id is not None else after
    after_id = -1 if given is None else given
    services = services_of(request)
    streams: Streams = request.app.state.streams
    with ExitStack() as held:
        held.enter_context(streams.place(request, caller))
        settlement_id = await identify(services, named, caller)
        events = await services.ledger.events(settlement_id, after_id, caller.scope)
        if events is None:
            raise not_found(named.number)
        if events.ended and not events.events:
            return Response(status_code=HTTPStatus.NO_CONTENT)
        is_authorized = partial(is_still_authorized, request, Permission.READ)
        stream = _Stream(services.ledger, streams, settlement_id, after_id, is_authorized)
        return _StreamResponse(stream.lines(events), held.pop_all())


class _StreamResponse(StreamingResponse):
    """An event stream that releases its place however it ends, even before its first line."""

    def __init__(self, lines: AsyncGenerator[str], held: ExitStack) -> None:
        super().__init__(
            lines,
            media_type=f"{CONTENT_TYPE}; charset=utf-8",
            headers={"X-Accel-Buffering": "no"},
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
        self,
        ledger: Ledger,
        streams: Streams,
        settlement_id: SettlementId,
        after_id: int,
        is_authorized: Callable[[], Awaitable[bool]],
    ) -> None:
        self._ledger = ledger
        self._streams = streams
        self._settlement_id = settlement_id
        self._last_id = after_id
        self._is_authorized = is_authorized
        self._read_version: int | None = None
        """The version of the settlement up to which all events have been read."""

    async def lines(self, first: Events) -> AsyncGenerator[str]:
        """Yield what is sent, until the settlement, the stream's time, the key or the process ends."""
        clock = asyncio.get_running_loop().time
        ends_at, sent_at = clock() + LIFETIME_S, clock()
        yield f"retry: {_RETRY_MS}\n\n"
        events: Events | None = first
        with self._streams.feed.follow(self._settlement_id) as followed:
            while True:
                for numbered in events.events if events else ():
                    self._last_id, sent_at = numbered.event_id, clock()
                    yield _event_text(numbered)
                    if numbered.is_last:
                        return
                if clock() >= ends_at or self._streams.stopping():
                    return
                if clock() - sent_at >= KEEP_ALIVE_S:
                    sent_at = clock()
                    yield ": keep-alive\n\n"
                await self._streams.feed.next_poll()
                authorized = await self._check_key()
                if authorized is False:
                    return
                events = await self._read(followed.version) if authorized else None

    async def _check_key(self) -> bool | None:
        """Return whether the key may still read; None if the ledger is unreachable: then no event is sent."""
        try:
            return await self._is_authorized()
        except (SQLAlchemyError, OSError):
            return None

    async def _read(self, version: int | None) -> Events | None:
        """Return the new events; None if there are none or the ledger is unreachable. The stream survives an outage."""
        if version == self._read_version:
            return None
        try:
            events = await self._ledger.events(self._settlement_id, self._last_id)
        except (SQLAlchemyError, OSError) as error:
            log.warning("events not read", error=type(error).__name__)
            return None
        if events is not None and len(events.events) < EVENTS_MAX:
            self._read_version = version
        return events


def _event_text(numbered: NumberedEvent) -> str:
    return f"id: {numbered.event_id}\nevent: state\ndata: {numbered.event.model_dump_json()}\n\n"
