"""Handles one request, from its body to its reply: rules, faults, books and journal in a single transaction."""

import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from contract.operations import Operation
from simulator import outages, replies
from simulator.book_records import Cancel, ReceivedAdjust
from simulator.books import Books
from simulator.call_journal import COMPANY_ID, CallJournal, Request
from simulator.database import transaction
from simulator.faults import (
    CANCEL_BEHAVIOURS,
    CORRECT,
    BookEffect,
    CancelFaults,
    ReplyMode,
    Simulation,
    simulation_of,
)
from simulator.outages import Outages
from simulator.replies import Result
from simulator.request_bodies import ReceivedAdjustRequest, ReceivedCancelAdjust, ReceivedCancelOperation

BODY_SIZE_MAX = 65_536
_NS_PER_S = 1_000_000_000
_TIMESTAMP = re.compile(r"[0-9]{13}")

M = TypeVar("M", bound=BaseModel)


class BrokenRuleError(Exception):
    """A request breaks rules of the contract; each problem names its field. The books did not change."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class HandledReply:
    """The reply to one request, and how it is sent."""

    result: Result
    mode: ReplyMode = ReplyMode.PLAIN
    fault: str | None = None
    """The fault that was applied, as the journal records it; None if none was."""
    delay_s: float = 0.0
    """Delay of the reply in the mode LATE, in seconds."""


OperationHandler = Callable[[Request], HandledReply]


class RequestHandler:
    """Handles requests one after the other, on one thread (`database.DatabaseThread`)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self.books = Books(connection)
        self.journal = CallJournal(connection)
        self.outages = Outages(connection)
        self._cancel_faults = CancelFaults(connection)
        self._handle_operation: dict[Operation, OperationHandler] = {
            Operation.ADJUST: self._adjust,
            Operation.CANCEL_ADJUST: self._cancel_adjust,
            Operation.CANCEL_OPERATION: self._cancel_operation,
        }

    def handle(self, request: Request) -> tuple[int, HandledReply]:
        """Handle one request in one transaction of books and journal; return its id in the journal and its reply."""
        with transaction(self._db):
            reply = self._reply(request)
            return self.journal.begin(request, reply.fault), reply

    def _reply(self, request: Request) -> HandledReply:
        mode = self.outages.mode_for(request.company_id)
        if mode is not None:
            return HandledReply(replies.FAILED, outages.BEHAVIOURS[mode].reply, f"outage:{mode}")
        try:
            return self._handle_operation[request.operation](request)
        except BrokenRuleError as broken:
            return HandledReply(replies.broken_rule(broken.problems))

    def _adjust(self, request: Request) -> HandledReply:
        body = parse_request(ReceivedAdjustRequest, request)
        simulation = parse_simulation(body.metadata)
        adjust = ReceivedAdjust(**body.model_dump(mode="json"), company_id=request.company)
        behaviour = simulation.adjust_behaviour()
        if behaviour.effect is not BookEffect.IGNORE:
            if self.books.reuses_adjust_number(adjust):
                return HandledReply(replies.NUMBER_REUSED)
            self._cancel_faults.store(adjust.requestUniqueNo, simulation)
        due_ns = request.received_ns + int(simulation.seconds * _NS_PER_S)
        result = self._change_books(behaviour.effect, adjust, due_ns)
        fault = f"adjust:{simulation.adjust}" if simulation.adjust else None
        return HandledReply(result, behaviour.reply, fault, simulation.seconds)

    def _change_books(self, effect: BookEffect, adjust: ReceivedAdjust, due_ns: int) -> Result:
        match effect:
            case BookEffect.CARRY_OUT | BookEffect.RECEIVE_ONLY:
                return self.books.adjust(adjust, apply=effect is BookEffect.CARRY_OUT)
            case BookEffect.DELAY | BookEffect.DELAY_UNGUARDED:
                self.books.delay(adjust, due_ns=due_ns, refuse_if_burnt=effect is BookEffect.DELAY)
        return replies.REFUSED  # of an ignored or delayed adjust; it is never sent, as those faults hang

    def _cancel_adjust(self, request: Request) -> HandledReply:
        body = parse_request(ReceivedCancelAdjust, request)
        simulation = parse_simulation(body.metadata)
        return self._cancel(Cancel.by_cancel_adjust(body, request.company), simulation)

    def _cancel_operation(self, request: Request) -> HandledReply:
        body = parse_request(ReceivedCancelOperation, request)
        return self._cancel(Cancel.by_cancel_operation(body, request.company), Simulation())

    def _cancel(self, cancel: Cancel, simulation: Simulation) -> HandledReply:
        if self.books.reuses_cancel_number(cancel):
            return HandledReply(replies.NUMBER_REUSED)
        self._cancel_faults.store(cancel.reverse_number, simulation)
        fault = self._cancel_faults.take(cancel.reverse_number)
        behaviour = CANCEL_BEHAVIOURS[fault] if fault else CORRECT
        result = self._change_books_by_cancel(behaviour.effect, cancel)
        return HandledReply(result, behaviour.reply, f"cancel:{fault}" if fault else None)

    def _change_books_by_cancel(self, effect: BookEffect, cancel: Cancel) -> Result:
        match effect:
            case BookEffect.CARRY_OUT | BookEffect.REPEAT:
                return self.books.cancel(cancel, twice=effect is BookEffect.REPEAT)
            case BookEffect.CLAIM:
                return replies.REVERSED
        return replies.FAILED


def parse_request(model: type[M], request: Request) -> M:
    """Validate a request's headers and parse its body; raise BrokenRuleError, naming every broken rule."""
    problems = list(request.ambiguities)
    if request.operation is not Operation.CANCEL_OPERATION:
        problems += header_problems(request)
    if len(request.body) > BODY_SIZE_MAX:
        raise BrokenRuleError([*problems, f"body: longer than {BODY_SIZE_MAX} bytes"])
    try:
        body = model.model_validate_json(request.body)
    except ValidationError as error:
        raise BrokenRuleError(problems + problems_of(error, "body")) from None
    if problems:
        raise BrokenRuleError(problems)
    return body


def parse_simulation(metadata: str | None) -> Simulation:
    """Return the fault that the metadata asks for; raise BrokenRuleError, naming the allowed values."""
    try:
        return simulation_of(metadata)
    except ValidationError as error:
        raise BrokenRuleError([f"metadata.{problem}" for problem in problems_of(error, "simulate")]) from None


def header_problems(request: Request) -> list[str]:
    """Return the broken rules of the headers `trace`, `timestamp` and `companyId` (docs/contract.md#headers)."""
    checks = {
        "header trace: must be there and not be empty": bool(request.trace),
        "header timestamp: must be 13 digits, epoch milliseconds": bool(
            _TIMESTAMP.fullmatch(request.header("timestamp") or "")
        ),
        "header companyId: must be an integer where it is sent": request.company_id is None
        or bool(COMPANY_ID.fullmatch(request.company_id)),
    }
    return [problem for problem, kept in checks.items() if not kept]


def problems_of(error: ValidationError, whole: str) -> list[str]:
    """Return each error as one line that starts with its field, or with `whole` if it concerns no single field."""
    return [
        f"{'.'.join(map(str, each['loc'])) or whole}: {each['msg'].removeprefix('Value error, ')}"
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]
