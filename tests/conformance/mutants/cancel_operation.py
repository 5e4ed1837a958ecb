"""Faults of the deprecated cancel operation (docs/contract.md#table-3)."""

from typing import Any, ClassVar, Literal

from pydantic import create_model

from contract.operations import CODE_NEVER_RECEIVED, CODE_SUCCESS
from simulator import replies
from simulator.book_records import NumberState
from simulator.call_journal import Request
from simulator.replies import Result
from simulator.request_bodies import ReceivedCancelOperation
from simulator.request_handler import HandledReply, RequestHandler
from tests.conformance.mutants.cancels import not_comparing, reverse_again
from tests.conformance.mutants.mutant import Mutant, Plant, codes_exchanged, mutant, with_handler, with_requests

_FAILURE = Result("US_0000500", "the cancel failed")


class RepeatFails(RequestHandler):
    """Answers the same cancel operation again with a failure."""

    _numbers: ClassVar[set[str | None]] = set()

    def _cancel_operation(self, request: Request) -> HandledReply:
        own, _ = request.numbers()
        reply = super()._cancel_operation(request)
        if own in self._numbers:
            return HandledReply(_FAILURE)
        if reply.result.code == CODE_SUCCESS:
            self._numbers.add(own)
        return reply


class ReversesAgain(RequestHandler):
    """Reverses an adjust again for each cancel operation."""

    def _cancel_operation(self, request: Request) -> HandledReply:
        _, reverse_number = request.numbers()
        before = self.books.number(reverse_number or "")
        reply = super()._cancel_operation(request)
        if before.times_reversed and reply.result.code == CODE_SUCCESS:
            reverse_again(self.books, before.request_unique_no)
        return reply


class BurnsNoNumber(RequestHandler):
    """Answers a cancel operation of an unseen number correctly, and forgets it."""

    def _cancel_operation(self, request: Request) -> HandledReply:
        _, reverse_number = request.numbers()
        if self.books.number(reverse_number or "").state is NumberState.NEVER_RECEIVED:
            return HandledReply(replies.NEVER_RECEIVED)
        return super()._cancel_operation(request)


def _reverse_type(kind: Any) -> Plant:  # noqa: ANN401 - a type
    """Allow other values of reverse_type."""
    return with_requests(
        ReceivedCancelOperation=create_model("Lenient", __base__=ReceivedCancelOperation, reverse_type=(kind, ...))
    )


CANCEL_OPERATION: dict[str, Mutant] = {
    "operation-knows-no-placing-of-an-order": mutant(_reverse_type(Literal[2]), "C-070"),
    "operation-knows-no-closing-of-a-position": mutant(_reverse_type(Literal[1]), "C-071"),
    "operation-again-fails": mutant(with_handler(RepeatFails), "C-072"),
    "operation-again-reverses-again": mutant(with_handler(ReversesAgain), "C-072"),
    "operation-answers-reversed-for-an-unseen-number": mutant(
        codes_exchanged({CODE_NEVER_RECEIVED: CODE_SUCCESS}, "_cancel_operation"), "C-073"
    ),
    "operation-burns-no-number": mutant(with_handler(BurnsNoNumber), "C-073"),
    "operation-ignores-the-reverse-type": mutant(not_comparing("reverse_type"), "C-074"),
}
