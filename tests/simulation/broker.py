"""The simulator's real books behind a scripted network that loses, delays and repeats messages.

The connector's own code builds requests and classifies replies; only the transport is replaced.
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
from contract.operations import CancelOperation, Operation
from settlement.calls import Verdict
from settlement.ids import settlement_of
from simulator import replies
from simulator.book_records import NumberView, ReceivedAdjust
from simulator.call_journal import CallView, ConnectionEnding, Request
from simulator.database import IN_MEMORY, connect
from simulator.replies import Result
from simulator.request_handler import RequestHandler
from tests.simulation.call_scripts import BUSINESS_STATUSES, CODES, WITHOUT_EFFECT, Answer, CallScript, reply_of
from tests.support.scripted import NOT_CONFIGURED

LATE_S = 4.0
"""Duration of a late reply: above the 3 s of the contract, below the deadline of the mutant that waits longer."""


@dataclass
class Line:
    """The network between us and the external system for one settlement."""

    guarded: bool = True
    cancel_operation: CancelOperation = Operation.CANCEL_ADJUST
    """The operation with which the external system undoes an adjust."""
    script: CallScript = field(default_factory=CallScript)
    """The script of the next call."""
    now: int = -1
    """The index of the current call."""
    under_way: list[tuple[float, Request]] = field(default_factory=list)
    """Delayed requests, with the time of their arrival."""


class Broker(ExternalSystem):
    """An external system in memory that follows a script for each call."""

    def __init__(self) -> None:
        super().__init__(ExternalSystemConfig("http://broker", codes=CODES, business_statuses=BUSINESS_STATUSES))
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
        """The cancel operation of the settlement of the current activity: one world has both kinds."""
        settlement = settlement_of(activity.info().workflow_id or "")
        assert settlement is not None
        return self.line(settlement.number).cancel_operation

    def line(self, number: str) -> Line:
        """Return the line of one settlement."""
        return self._lines.setdefault(number, Line())

    def expect(self, number: str, attempt: int, script: CallScript) -> None:
        """Set the script of the next call of a settlement. Delayed requests that are due arrive first."""
        line = self.line(number)
        line.now, line.script = attempt, script
        self._land(line, attempt)

    def end(self, number: str) -> None:
        """Deliver all delayed requests."""
        self._land(self.line(number), float("inf"))

    def books(self, number: str) -> NumberView:
        """Return the books of a number."""
        return self.handler.books.number(number)

    def received(self, number: str) -> list[CallView]:
        """Return every request received for a number."""
        return self.handler.journal.calls(number, 0, 1_000)

    async def _call(self, path: str, headers: Mapping[str, str], body: bytes, deadlines: Deadlines) -> Verdict:
        operation = self._operations[path]
        # Each send has a unique timestamp, which tells a copy made by the network from a second send.
        stamped = {**headers, "timestamp": str(next(self._stamps))}
        request = Request(operation, time.time_ns(), stamped, body)
        line = self.line(_settlement(request))
        if line.script.answer is Answer.NOT_CONFIGURED:
            return NOT_CONFIGURED
        exchange = self._exchange(line, request, deadlines)
        return classify(exchange, headers["trace"], BUSINESS_STATUSES)

    def _exchange(self, line: Line, request: Request, deadlines: Deadlines) -> Exchange:
        script = line.script
        if script.answer is Answer.NOT_SENT:
            return NotSent("no connection")
        line.under_way += [(line.now + after, request) for after in script.arrives if after > 0]
        if not script.at_once:
            return NoReply(deadline_passed=True, detail="")
        latency_s = LATE_S if script.answer is Answer.LATE else 0.0
        reply = self._reply(line, request, script.answer, latency_s)
        if script.answer is Answer.LOST or latency_s > deadlines.reply_s:
            return NoReply(deadline_passed=script.answer is Answer.LATE, detail="")
        return reply

    def _reply(self, line: Line, request: Request, answer: Answer, latency_s: float) -> Reply:
        call_id, result = self._deal_with(line, request, carried_out=answer not in WITHOUT_EFFECT)
        reply = reply_of(result, answer, trace=request.trace or "", received_ns=request.received_ns)
        ended_ns = request.received_ns + int(latency_s * 1e9)
        self.handler.journal.end(call_id, ConnectionEnding.REPLIED, ended_ns, reply.status, None)
        return reply

    def _deal_with(self, line: Line, request: Request, *, carried_out: bool) -> tuple[int, Result]:
        """Let the request handler process a request, or only record it in the journal if it has no effect."""
        if not carried_out:
            return self.handler.journal.begin(request, "wrong code"), replies.FAILED
        if request.operation is Operation.ADJUST and not line.guarded:
            adjust = AdjustRequest.model_validate_json(request.body)
            received = ReceivedAdjust(**adjust.model_dump(mode="json"), company_id=request.company)
            return self.handler.journal.begin(request, None), self.handler.books.adjust(
                received, apply=adjust.metadata is None, refuse_if_burnt=False
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
