"""One request from its body to its answer: rules, faults, books and journal in a single transaction."""

import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from contract.adjust import AdjustRequest
from contract.cancel_adjust import CancelAdjustRequest
from contract.cancel_operation import CancelOperationRequest
from contract.operations import Operation
from simulator import outages, replies
from simulator.book_records import Cancel, ReceivedAdjust
from simulator.books import Books
from simulator.call_journal import COMPANY_ID, CallJournal, Request
from simulator.cancel_faults import CancelFaults
from simulator.database import transaction
from simulator.faults import CANCEL_PLANS, HONEST, Effect, Manner, Plan, Simulation, simulation_of
from simulator.outages import Outages
from simulator.replies import Result

BODY_SIZE_MAX = 65_536
_NS_PER_S = 1_000_000_000
_TIMESTAMP = re.compile(r"[0-9]{13}")

M = TypeVar("M", bound=BaseModel)


class BrokenRuleError(Exception):
    """A request breaks rules of the contract; the problems each name their field. The books stay untouched."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class HandledReply:
    """What one request is answered, and in which manner."""

    result: Result
    manner: Manner = Manner.PLAIN
    fault: str | None = None
    delay_s: float = 0.0
    """How late the reply leaves in the manner LATE."""


Act = Callable[[Request], HandledReply]


class RequestHandler:
    """Where requests are dealt with, one after the other, by one thread (`store.py`)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self.books = Books(connection)
        self.journal = CallJournal(connection)
        self.outages = Outages(connection)
        self._cancel_faults = CancelFaults(connection)
        self._acts: dict[Operation, Act] = {
            Operation.ADJUST: self._adjust,
            Operation.CANCEL_ADJUST: self._cancel_adjust,
            Operation.CANCEL_OPERATION: self._cancel_operation,
        }

    def handle(self, request: Request) -> tuple[int, HandledReply]:
        """Deal with one request; return its id in the journal and its answer. Books and journal agree, or neither."""
        with transaction(self._db):
            answer = self._answer(request)
            return self.journal.begin(request, answer.fault), answer

    def _answer(self, request: Request) -> HandledReply:
        mode = self.outages.mode_for(request.company_id)
        if mode is not None:
            return HandledReply(replies.FAILED, outages.PLANS[mode].manner, f"outage:{mode}")
        try:
            return self._acts[request.operation](request)
        except BrokenRuleError as broken:
            return HandledReply(replies.broken_rule(broken.problems))

    def _adjust(self, request: Request) -> HandledReply:
        body = read(AdjustRequest, request)
        simulation = read_simulation(body.metadata)
        adjust = ReceivedAdjust(**body.model_dump(mode="json"), company_id=request.company)
        plan = simulation.adjust_plan()
        if plan.effect is not Effect.IGNORE:
            if self.books.is_reused(adjust):
                return HandledReply(replies.NUMBER_REUSED)
            self._cancel_faults.remember(adjust.requestUniqueNo, simulation)
        due_ns = request.received_ns + int(simulation.seconds * _NS_PER_S)
        result = self._take_effect(plan, adjust, due_ns)
        fault = f"adjust:{simulation.adjust}" if simulation.adjust else None
        return HandledReply(result, plan.manner, fault, simulation.seconds)

    def _take_effect(self, plan: Plan, adjust: ReceivedAdjust, due_ns: int) -> Result:
        match plan.effect:
            case Effect.CARRY_OUT | Effect.RECEIVE_ONLY:
                return self.books.adjust(adjust, applies=plan.effect is Effect.CARRY_OUT)
            case Effect.LAND | Effect.LAND_UNGUARDED:
                self.books.postpone(adjust, due_ns=due_ns, guarded=plan.effect is Effect.LAND)
        return replies.REFUSED

    def _cancel_adjust(self, request: Request) -> HandledReply:
        body = read(CancelAdjustRequest, request)
        simulation = read_simulation(body.metadata)
        return self._cancel(Cancel.by_cancel_adjust(body, request.company), simulation)

    def _cancel_operation(self, request: Request) -> HandledReply:
        body = read(CancelOperationRequest, request)
        return self._cancel(Cancel.by_cancel_operation(body, request.company), Simulation())

    def _cancel(self, cancel: Cancel, simulation: Simulation) -> HandledReply:
        if self.books.is_reused_by(cancel):
            return HandledReply(replies.NUMBER_REUSED)
        self._cancel_faults.remember(cancel.reverse_number, simulation)
        fault = self._cancel_faults.take(cancel.reverse_number)
        plan = CANCEL_PLANS[fault] if fault else HONEST
        result = self.books.cancel(cancel) if plan.effect is Effect.CARRY_OUT else replies.FAILED
        return HandledReply(result, plan.manner, f"cancel:{fault}" if fault else None)


def read(model: type[M], request: Request) -> M:
    """Read a request's headers and body by the contract's rules; raise BrokenRuleError naming every broken one."""
    problems = list(request.misread)
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


def read_simulation(metadata: str | None) -> Simulation:
    """Read the fault that the metadata asks for; raise BrokenRuleError naming the allowed words."""
    try:
        return simulation_of(metadata)
    except ValidationError as error:
        raise BrokenRuleError([f"metadata.{problem}" for problem in problems_of(error, "simulate")]) from None


def header_problems(request: Request) -> list[str]:
    """Name the broken rules of the headers `trace`, `timestamp` and `companyId` (contract, three operations)."""
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
    """Put each error in one line with its field first; `whole` names the place of an error in no field."""
    return [
        f"{'.'.join(map(str, found['loc'])) or whole}: {found['msg'].removeprefix('Value error, ')}"
        for found in error.errors(include_url=False, include_context=False, include_input=False)
    ]
