"""The three operations on a target: build the request, send it, record the exchange, read the reply."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from conformance import wire
from conformance.connection import Connection, Endpoint
from conformance.curl import curl
from conformance.exchange import Exchange, Request
from conformance.orders import Body, Orders
from conformance.reading import Answer, read
from conformance.target import Target
from conformance.wire import Headers
from contract.operations import Operation


class Transport(Protocol):
    """Sends one request, as `conformance.exchange.send` does."""

    def __call__(
        self, endpoint: Endpoint, request: Request, *, limit_s: float, connection: Connection | None = None
    ) -> Awaitable[Exchange]:
        """Send a request, and return the exchange."""


Record = Callable[[Exchange], None]


class Client:
    """Sends the requests of one check, and records each exchange."""

    def __init__(self, target: Target, orders: Orders, transport: Transport, record: Record) -> None:
        self.target = target
        self.orders = orders
        self._transport = transport
        self._record = record

    async def adjust(self, body: Body | bytes, *, label: str = "an adjust", headers: Headers | None = None) -> Answer:
        """Send an adjust. `headers` are as in `wire.Headers`."""
        return await self.call(Operation.ADJUST, body, label=label, headers=headers)

    async def cancel_adjust(
        self, body: Body | bytes, *, label: str = "its cancel", headers: Headers | None = None
    ) -> Answer:
        """Send a cancel adjust."""
        return await self.call(Operation.CANCEL_ADJUST, body, label=label, headers=headers)

    async def cancel_operation(
        self, body: Body | bytes, *, label: str = "its cancel operation", headers: Headers | None = None
    ) -> Answer:
        """Send a cancel operation."""
        return await self.call(Operation.CANCEL_OPERATION, body, label=label, headers=headers)

    async def call(
        self,
        operation: Operation,
        body: Body | bytes,
        *,
        label: str,
        headers: Headers | None = None,
        connection: Connection | None = None,
    ) -> Answer:
        """Send a request of an operation on a new connection, or on a kept one."""
        request = self.request(operation, body, headers, keep_alive=connection is not None)
        url = self.target.url_of(operation)
        return await self.send(url, Request(label, [request]), connection=connection)

    def request(
        self, operation: Operation, body: Body | bytes, headers: Headers | None = None, *, keep_alive: bool = False
    ) -> bytes:
        """Return head and body of a request, with a new trace."""
        return wire.request_bytes(self.target, operation, body, self.orders.name("t"), headers, keep_alive=keep_alive)

    async def get(self, url: str, label: str) -> Answer:
        """Send a GET request with the user's headers to a URL."""
        request = wire.head("GET", url, {each.name: each.value for each in self.target.headers})
        return await self.send(url, Request(label, [request]))

    async def send(self, url: str, request: Request, *, connection: Connection | None = None) -> Answer:
        """Send the bytes of a request, in one piece or in several, and record the exchange."""
        endpoint = self.target.endpoint_of(url)
        command = replace(request, curl=curl(self.target, url, request.bytes))
        limit_s = self.target.exchange_limit_s
        exchange = await self._transport(endpoint, command, limit_s=limit_s, connection=connection)
        self._record(exchange)
        return read(exchange)
