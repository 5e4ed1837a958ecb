"""Limits on the open event streams of a process: in total and per client."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property

from fastapi import Request

from api.http.access import Caller
from api.http.connections import client_of
from api.http.problems import ProblemError
from api.http.quotas import Places
from api.services import Services
from api.settlements.event_feed import EventFeed
from schemas.problems import ErrorCode


class Streams:
    """The open streams, their common feed, and whether the process is shutting down."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.feed = EventFeed(services)
        self.stopping: Callable[[], bool] = lambda: False

    def __len__(self) -> int:
        """Return the number of open streams."""
        return len(self._places)

    @cached_property
    def _places(self) -> Places:
        return Places(self._services.settings.streams_per_client)

    @contextmanager
    def place(self, request: Request, caller: Caller) -> Iterator[None]:
        """Hold a place for one stream while the context is open.

        Without keys (auth is off), a client is an address. Raises ProblemError TOO_MANY_STREAMS_OF_CLIENT
        if the client has used up its share, and TOO_MANY_STREAMS if the process has no place left.
        """
        address = request.client.host if request.client else None
        client = f"address {client_of(address)}" if caller.key_id is None else f"client {caller.client}"
        if self._places.are_used_up(client):
            detail = f"the {client} already has {self._places.per_client} open event streams"
            raise ProblemError(ErrorCode.TOO_MANY_STREAMS_OF_CLIENT, detail)
        streams_max = self._services.settings.streams_max
        if len(self) >= streams_max:
            raise ProblemError(ErrorCode.TOO_MANY_STREAMS, f"{streams_max} event streams are already open")
        with self._places.held(client):
            yield
