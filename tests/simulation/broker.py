"""The simulator's real books behind a network that loses, delays and repeats, at the connector's innermost seam.

Requests are built, and replies read, by the connector's own code; only the bytes' way is ours.
"""

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from temporalio import activity

from connector import Deadlines, ExternalSystem, ExternalSystemConfig
from connector.classify import classify
from connector.exchange import Exchange, NoReply, NotSent, Reply
from contract.adjust import AdjustRequest
from contract.operations import Operation
from settlement.calls import CancelOperation, Verdict
from settlement.ids import request_unique_no_of
from simulator import replies
from simulator.book_records import NumberView, ReceivedAdjust
from simulator.call_journal import CallView, ConnectionEnding, Request
from simulator.database import IN_MEMORY, connect
from simulator.replies import Result
from simulator.request_handler import RequestHandler
from tests.simulation.call_outcomes import Answer, Fate
from tests.simulation.network import reply_of

LATE_S = 4.0
"""How long a late reply takes: past the contract's 3 s, within what a mutant would wait."""


@dataclass
class Line:
    """The network between us and the external system for one settlement."""

    guarded: bool = True
    cancel_operation: CancelOperation = Operation.CANCEL_ADJUST
    """By which operation the external system at its end undoes an adjust."""
    fate: Fate = field(default_factory=Fate)
    """Of the call that comes next."""
    now: int = -1
    """The number of the call under way."""
    under_way: list[tuple[float, Request]] = field(default_factory=list)
    """What is delayed, and when it lands."""


class Broker(ExternalSystem):
    """An external system in memory, told call by call what befalls it."""

    def __init__(self) -> None:
        super().__init__(ExternalSystemConfig("http://broker"))
        self.handler = RequestHandler(connect(IN_MEMORY))
        self._lines: dict[str, Line] = {}
        self._stamps = itertools.count(time.time_ns() // 1_000_000)
        self._operations = {
            self._config.adjust_path: Operation.ADJUST,
            self._config.cancel_adjust_path: Operation.CANCEL_ADJUST,
            self._config.cancel_operation_path: Operation.CANCEL_OPERATION,
        }

    @property
    def cancel_operation(self) -> CancelOperation:
        """How to undo the settlement whose activity asks: one world has external systems of both kinds."""
        number = request_unique_no_of(activity.info().workflow_id or "")
        assert number is not None
        return self.line(number).cancel_operation

    def line(self, number: str) -> Line:
        """Return the line of one settlement."""
        return self._lines.setdefault(number, Line())

    def expect(self, number: str, attempt: int, fate: Fate) -> None:
        """Say what befalls the next call of a settlement. Everything that is due by then lands first."""
        line = self.line(number)
        line.now, line.fate = attempt, fate
        self._land(line, attempt)

    def end(self, number: str) -> None:
        """Let everything land that is still under way."""
        self._land(self.line(number), float("inf"))

    def books(self, number: str) -> NumberView:
        """Return what the books say of a number."""
        return self.handler.books.number(number)

    def received(self, number: str) -> list[CallView]:
        """Return every request received for a number."""
        return self.handler.journal.calls(number, 0, 1_000)

    async def _call(self, path: str, headers: Mapping[str, str], body: bytes, deadlines: Deadlines) -> Verdict:
        operation = self._operations[path]
        # Each send has a stamp of its own, so that a copy made by the network is known from a second send.
        stamped = {**headers, "timestamp": str(next(self._stamps))}
        request = Request(operation, time.time_ns(), stamped, body)
        exchange = self._exchange(self.line(_settlement(request)), request, deadlines)
        return classify(exchange, headers["trace"])

    def _exchange(self, line: Line, request: Request, deadlines: Deadlines) -> Exchange:
        fate = line.fate
        if fate.answer is Answer.NOT_SENT:
            return NotSent("no connection")
        line.under_way += [(line.now + after, request) for after in fate.arrives if after > 0]
        if not fate.at_once:
            return NoReply(deadline_passed=True, detail="")
        latency_s = LATE_S if fate.answer is Answer.LATE else 0.0
        reply = self._reply(line, request, fate.answer, latency_s)
        if fate.answer is Answer.LOST or latency_s > deadlines.reply_s:
            return NoReply(deadline_passed=fate.answer is Answer.LATE, detail="")
        return reply

    def _reply(self, line: Line, request: Request, answer: Answer, latency_s: float) -> Reply:
        call_id, result = self._deal_with(line, request, carried_out=answer is not Answer.WRONG_CODE)
        reply = reply_of(result, answer, trace=request.trace or "", received_ns=request.received_ns)
        ended_ns = request.received_ns + int(latency_s * 1e9)
        self.handler.journal.end(call_id, ConnectionEnding.REPLIED, ended_ns, reply.status, None)
        return reply

    def _deal_with(self, line: Line, request: Request, *, carried_out: bool) -> tuple[int, Result]:
        """Let the request handler deal with a request, or only its journal where nothing is carried out."""
        if not carried_out:
            return self.handler.journal.begin(request, "wrong code"), replies.FAILED
        if request.operation is Operation.ADJUST and not line.guarded:
            adjust = AdjustRequest.model_validate_json(request.body)
            received = ReceivedAdjust(**adjust.model_dump(mode="json"), company_id=request.company)
            return self.handler.journal.begin(request, None), self.handler.books.adjust(
                received, applies=adjust.metadata is None, guarded=False
            )
        call_id, answer = self.handler.handle(request)
        return call_id, answer.result

    def _land(self, line: Line, now: float) -> None:
        due = sorted((each for each in line.under_way if each[0] < now), key=lambda each: each[0])
        line.under_way = [each for each in line.under_way if each[0] >= now]
        for _, request in due:
            self._deal_with(line, request, carried_out=True)


def _settlement(request: Request) -> str:
    own, reverse = request.numbers()
    number = own if request.operation is Operation.ADJUST else reverse
    assert number is not None
    return number
