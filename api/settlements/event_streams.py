"""Limits on the open event streams of a process: in total and per client."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import Request

from api.http.access import Caller
from api.http.connections import client_of
from api.http.problems import ProblemError
from api.services import Services
from api.settlements.event_feed import EventFeed
from schemas.problems import ErrorCode


class Streams:
    """The open streams, their common feed, and whether the process is shutting down."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._open_of: dict[str, int] = {}
        self.feed = EventFeed(services)
        self.stopping: Callable[[], bool] = lambda: False

    def __len__(self) -> int:
        """Return the number of open streams."""
        return sum(self._open_of.values())

    @contextmanager
    def place(self, request: Request, caller: Caller) -> Iterator[None]:
        """Hold a place for one stream while the context is open.

        A client is the owner of a key, or an address if auth is off. Raises ProblemError TOO_MANY_STREAMS_OF_CLIENT
        if the client has used up its share, and TOO_MANY_STREAMS if the process has no place left.
        """
        settings = self._services.settings
        address = request.client.host if request.client else None
        client = f"address {client_of(address)}" if caller.role is None else f"owner {caller.owner}"
        if self._open_of.get(client, 0) >= settings.streams_per_client:
            detail = f"you already have {settings.streams_per_client} open event streams"
            raise ProblemError(ErrorCode.TOO_MANY_STREAMS_OF_CLIENT, detail)
        if len(self) >= settings.streams_max:
            raise ProblemError(ErrorCode.TOO_MANY_STREAMS, f"{settings.streams_max} event streams are already open")
        self._open_of[client] = self._open_of.get(client, 0) + 1
        try:
            yield
        finally:
            self._open_of[client] -= 1
            if not self._open_of[client]:
                del self._open_of[client]
