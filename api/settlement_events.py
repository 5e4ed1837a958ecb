"""GET …/events: a settlement's state changes as server-sent events, from the ledger alone.

Written out by hand rather than by FastAPI's own event streams: those describe themselves in OpenAPI 3.2,
and the rest of the document is 3.1.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError

from api.access import Reader
from api.plain_integer import Plain
from api.problems import ProblemError, documented
from api.resource import SETTLEMENTS, NumberInPath, not_found
from api.services import Injected
from contract.errors import ErrorCode
from ledger import Ledger
from ledger.events import Events, NumberedEvent

log = structlog.get_logger()
router = APIRouter()

POLL_S = 0.5
"""How often an open stream looks into the ledger."""
SILENCE_MAX_S = 15.0
"""After so long without an event a comment keeps proxies from closing the connection."""
LIFETIME_S = 300.0
"""Then the stream ends, and the client goes on where it was."""
STREAMS_MAX = 200
"""Open streams of one process."""

EVENT_ID_MAX = 2**31 - 1
CONTENT_TYPE = "text/event-stream"
_RETRY_MS = 1000

EventId = Annotated[int, Field(ge=0, le=EVENT_ID_MAX), Plain]
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The events, as they come", "content": {CONTENT_TYPE: {"schema": {"type": "string"}}}},
    204: {"description": "The settlement has ended, and nothing came after the event that was named"},
    **documented(
        ErrorCode.NOT_FOUND, ErrorCode.VALIDATION_FAILED, ErrorCode.LEDGER_UNAVAILABLE, ErrorCode.TOO_MANY_STREAMS
    ),
}


@router.get(SETTLEMENTS + "/{requestUniqueNo}/events", responses=RESPONSES, response_class=Response)
async def get_settlement_events(
    request: Request,
    number: NumberInPath,
    services: Injected,
    _: Reader,
    last_event_id: Annotated[EventId | None, Header(description="The id of the last event that was received.")] = None,
    after: Annotated[EventId | None, Query(description="The same, for whoever cannot set the header.")] = None,
) -> Response:
    """Follow a settlement: one event `state` for every state it enters, in order, none twice, until its end.

    Event 0 is its acceptance. The stream also ends by itself after five minutes; ask again with the header
    `Last-Event-ID`, as every event source does by itself. An ABORTED settlement is not at its end.
    """
    given = last_event_id if last_event_id is not None else after
    behind = -1 if given is None else given
    events = await services.ledger.events(number, behind)
    if events is None:
        raise not_found(number)
    if events.ended and not events.events:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    streams: Streams = request.app.state.streams
    stream = _Stream(services.ledger, number, behind, streams.stopping)
    return StreamingResponse(
        streams.counted(stream.lines(events)),
        media_type=f"{CONTENT_TYPE}; charset=utf-8",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


class Streams:
    """Counts the open streams of a process, and tells them when it is about to end."""

    def __init__(self) -> None:
        self._open = 0
        self.stopping: Callable[[], bool] = lambda: False

    def counted(self, lines: AsyncIterator[str]) -> AsyncIterator[str]:
        """Return the lines of one more stream; raises ProblemError TOO_MANY_STREAMS."""
        if self._open >= STREAMS_MAX:
            raise ProblemError(ErrorCode.TOO_MANY_STREAMS, f"{STREAMS_MAX} event streams are open already")
        self._open += 1
        return self._until_closed(lines)

    async def _until_closed(self, lines: AsyncIterator[str]) -> AsyncIterator[str]:
        try:
            async for line in lines:
                yield line
        finally:
            self._open -= 1


class _Stream:
    """One client following one settlement."""

    def __init__(self, ledger: Ledger, number: str, behind: int, stopping: Callable[[], bool]) -> None:
        self._ledger = ledger
        self._number = number
        self._behind = behind
        self._stopping = stopping

    async def lines(self, first: Events) -> AsyncIterator[str]:
        """Yield what goes over the wire, until the settlement's end, the stream's, or the process's."""
        clock = asyncio.get_running_loop().time
        ends_at, spoke_at = clock() + LIFETIME_S, clock()
        yield f"retry: {_RETRY_MS}\n\n"
        events: Events | None = first
        while True:
            for numbered in events.events if events else ():
                self._behind, spoke_at = numbered.event_id, clock()
                yield _written(numbered)
                if numbered.is_last:
                    return
            if clock() >= ends_at or self._stopping():
                return
            if clock() - spoke_at >= SILENCE_MAX_S:
                spoke_at = clock()
                yield ": still here\n\n"
            await asyncio.sleep(POLL_S)
            events = await self._look()

    async def _look(self) -> Events | None:
        """Return what is new; None while the ledger is away: the stream outlives an outage, and misses nothing."""
        try:
            return await self._ledger.events(self._number, self._behind)
        except (SQLAlchemyError, OSError) as error:
            log.warning("events not read", settlement=self._number, error=type(error).__name__)
            return None


def _written(numbered: NumberedEvent) -> str:
    return f"id: {numbered.event_id}\nevent: state\ndata: {numbered.event.model_dump_json()}\n\n"
