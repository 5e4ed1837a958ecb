"""The open event streams of a process: how many there may be, in all and per client."""

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
    """Counts the open streams, has their settlements looked at, and tells them when the process is about to end."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._open_of: dict[str, int] = {}
        self.feed = EventFeed(services)
        self.stopping: Callable[[], bool] = lambda: False

    def __len__(self) -> int:
        """Return how many are open."""
        return sum(self._open_of.values())

    @contextmanager
    def place(self, request: Request, caller: Caller) -> Iterator[None]:
        """Hold a place for one more stream.

        A client is an owner of keys; where keys are off, an address. Raises ProblemError TOO_MANY_STREAMS_OF_CLIENT
        where it has its share, else TOO_MANY_STREAMS where no place is left.
        """
        settings = self._services.settings
        address = request.client.host if request.client else None
        client = f"address {client_of(address)}" if caller.role is None else f"owner {caller.owner}"
        if self._open_of.get(client, 0) >= settings.streams_per_client:
            detail = f"{settings.streams_per_client} event streams of yours are open already"
            raise ProblemError(ErrorCode.TOO_MANY_STREAMS_OF_CLIENT, detail)
        if len(self) >= settings.streams_max:
            raise ProblemError(ErrorCode.TOO_MANY_STREAMS, f"{settings.streams_max} event streams are open already")
        self._open_of[client] = self._open_of.get(client, 0) + 1
        try:
            yield
        finally:
            self._open_of[client] -= 1
            if not self._open_of[client]:
                del self._open_of[client]
