"""A mutant: the simulator with one planted fault, and the requirements that it breaks."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any
from unittest.mock import patch

from simulator import app, delivery, request_handler, server, service
from simulator.books import Books
from simulator.call_journal import Request
from simulator.connection import SimulatorProtocol
from simulator.payloads import Payload, payload_of
from simulator.replies import reply_body
from simulator.request_handler import RequestHandler
from simulator.service import SimulatorService

Plant = Callable[[], AbstractContextManager[Any]]
"""Plants a fault in the simulator of this process, for the length of the block."""


@dataclass(frozen=True)
class Mutant:
    """One planted fault."""

    plant: Plant
    breaks: frozenset[str]
    """The ids of the requirements that the kit must report as FAILED: these, and no others."""


def mutant(plant: Plant, *breaks: str) -> Mutant:
    """Return a mutant that breaks the named requirements."""
    return Mutant(plant, frozenset(breaks))


def replacing(owner: object, **replacements: object) -> Plant:
    """Replace attributes of a module or class, by name."""
    return partial(patch.multiple, owner, **replacements)


def with_books(books: type[Books]) -> Plant:
    """Keep the books with a subclass."""
    return replacing(request_handler, Books=books)


def with_handler(handler: type[RequestHandler]) -> Plant:
    """Handle requests with a subclass."""
    return replacing(service, RequestHandler=handler)


def with_service(of_mutant: type[SimulatorService]) -> Plant:
    """Run a subclass of the service."""
    return replacing(app, SimulatorService=of_mutant)


def with_protocol(protocol: type[SimulatorProtocol]) -> Plant:
    """Speak HTTP with a subclass."""
    return replacing(server, SimulatorProtocol=protocol)


def with_delivery(of_mutant: type[delivery.Delivery]) -> Plant:
    """Send replies with a subclass."""
    return replacing(app, Delivery=of_mutant)


def with_requests(**models: object) -> Plant:
    """Parse requests with other models, by the names that they have in `simulator.request_handler`."""
    return replacing(request_handler, **models)


def both(*plants: Plant) -> Plant:
    """Plant a fault that needs several replacements."""

    @contextmanager
    def planted() -> Iterator[None]:
        with ExitStack() as stack:
            for plant in plants:
                stack.enter_context(plant())
            yield

    return planted


Reply = dict[str, Any]
"""A reply of table 4 (docs/contract.md#table-4)."""


def answering(change: Callable[[Reply, Request], Reply]) -> Plant:
    """Change the fields of each reply before it is written as JSON."""
    return sending(lambda reply, request, payload_of: payload_of(change(reply, request)))


def sending(payload: Callable[[Reply, Request, Callable[[Reply], Payload]], Payload]) -> Plant:
    """Change how each reply is written; the last argument writes it correctly, as the request's reply mode says."""

    class Changed(delivery.OutgoingReply):
        @cached_property
        def payload(self) -> Payload:
            trace, received_ns = self.request.trace or "", self.request.received_ns
            reply = reply_body(self.reply.result, trace=trace, received_ns=received_ns)
            return payload(reply, self.request, partial(payload_of, self.reply.mode))

    return replacing(delivery, OutgoingReply=Changed)


def codes_exchanged(exchanged: Mapping[str, str], handler: str) -> Plant:
    """Answer with other codes; `handler` is the name of the method of `RequestHandler` for the operation."""
    correct = getattr(RequestHandler, handler)

    def exchange(self: RequestHandler, request: Request) -> request_handler.HandledReply:
        reply: request_handler.HandledReply = correct(self, request)
        result = reply.result
        other = result._replace(code=exchanged.get(result.code, result.code))
        return request_handler.HandledReply(other, reply.mode, reply.fault, reply.delay_s)

    return replacing(RequestHandler, **{handler: exchange})
