"""Faults that a request can ask for in its metadata, as `{"simulate": {...}}`, and what each one does.

Each fault combines an effect on the books with a way to reply; two tables list them. `docs/simulator.md` explains the
faults to broker engineers. `CancelFaults` stores how many cancels of a number must still fail.
"""

import json
import sqlite3
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from simulator.database import fetch_one, transaction

SECONDS_MAX = 3_600
TIMES_MAX = 1_000


class BookEffect(StrEnum):
    """What a request does to the books."""

    CARRY_OUT = "CARRY_OUT"
    """The request is carried out by the rules of the contract."""
    RECEIVE_ONLY = "RECEIVE_ONLY"
    """The adjust is recorded as received and not applied."""
    IGNORE = "IGNORE"
    """The books do not change."""
    DELAY = "DELAY"
    """The adjust is received only after `seconds`, and refused if its cancel was received first."""
    DELAY_UNGUARDED = "DELAY_UNGUARDED"
    """As DELAY, but applied even if its cancel was received first, as at a broker that does not burn numbers."""
    CLAIM = "CLAIM"
    """The books do not change, but the reply says that the amount is given back."""
    REPEAT = "REPEAT"
    """The cancel is carried out, and the amount is given back once more."""


class ReplyMode(StrEnum):
    """How the reply is sent, if at all. `payloads.py` and `delivery.py` implement the modes."""

    PLAIN = "PLAIN"
    LATE = "LATE"
    HANG = "HANG"
    DRIP = "DRIP"
    RESET = "RESET"
    CUT = "CUT"
    HTTP_500 = "HTTP_500"
    REDIRECT = "REDIRECT"
    NOT_JSON = "NOT_JSON"
    HTML_PAGE = "HTML_PAGE"
    CONTRADICTORY = "CONTRADICTORY"
    WRONG_TYPE = "WRONG_TYPE"
    OVERSIZED = "OVERSIZED"
    WRONG_TRACE = "WRONG_TRACE"
    CONSTANT_TRACE = "CONSTANT_TRACE"
    NO_TRACE = "NO_TRACE"
    BYTE_ORDER_MARK = "BYTE_ORDER_MARK"
    LIST_DATA = "LIST_DATA"
    HTTP_400 = "HTTP_400"
    HTTP_409 = "HTTP_409"
    HTTP_429 = "HTTP_429"
    HTTP_503 = "HTTP_503"
    OWN_CODE = "OWN_CODE"
    IN_PROCESS = "IN_PROCESS"
    REFUSED_FOR_GOOD = "REFUSED_FOR_GOOD"


class Behaviour(NamedTuple):
    """What a request does to the books, and how it is answered."""

    effect: BookEffect
    reply: ReplyMode


class AdjustFault(StrEnum):
    """The values allowed for `simulate.adjust`."""

    REJECT = "reject"
    HANG = "hang"
    HANG_APPLIED = "hang_applied"
    NEVER_RECEIVED = "never_received"
    LATE = "late"
    LAND_LATE = "land_late"
    LAND_LATE_UNGUARDED = "land_late_unguarded"
    DRIP = "drip"
    HTTP_500 = "http_500"
    HTTP_500_APPLIED = "http_500_applied"
    NOT_JSON = "not_json"
    HTML_PAGE = "html_page"
    CONTRADICTORY = "contradictory"
    WRONG_TYPE = "wrong_type"
    OVERSIZED = "oversized"
    RESET = "reset"
    RESET_APPLIED = "reset_applied"
    CUT = "cut"
    REDIRECT = "redirect"
    WRONG_TRACE = "wrong_trace"
    CONSTANT_TRACE = "constant_trace"
    NO_TRACE = "no_trace"
    BYTE_ORDER_MARK = "byte_order_mark"
    LIST_DATA = "list_data"
    REJECT_400 = "reject_400"
    REJECT_409 = "reject_409"
    BUSY = "busy"


class CancelFault(StrEnum):
    """The values allowed for `simulate.cancel`."""

    FAIL = "fail"
    ERROR_CODE = "error_code"
    HANG = "hang"
    NOT_JSON = "not_json"
    CONTRADICTORY = "contradictory"
    RESET = "reset"
    DONE_BUT_LOST = "done_but_lost"
    DONE_BUT_RESET = "done_but_reset"
    NOT_REVERSED = "not_reversed"
    REVERSED_TWICE = "reversed_twice"
    WRONG_TRACE = "wrong_trace"
    CONSTANT_TRACE = "constant_trace"
    NO_TRACE = "no_trace"
    BYTE_ORDER_MARK = "byte_order_mark"
    LIST_DATA = "list_data"
    OWN_CODE = "own_code"
    IN_PROCESS = "in_process"
    REFUSE = "refuse"
    HTTP_400 = "http_400"
    HTTP_409 = "http_409"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"


CORRECT = Behaviour(BookEffect.CARRY_OUT, ReplyMode.PLAIN)

ADJUST_BEHAVIOURS: dict[AdjustFault, Behaviour] = {
    AdjustFault.REJECT: Behaviour(BookEffect.RECEIVE_ONLY, ReplyMode.PLAIN),
    AdjustFault.HANG: Behaviour(BookEffect.RECEIVE_ONLY, ReplyMode.HANG),
    AdjustFault.HANG_APPLIED: Behaviour(BookEffect.CARRY_OUT, ReplyMode.HANG),
    AdjustFault.NEVER_RECEIVED: Behaviour(BookEffect.IGNORE, ReplyMode.HANG),
    AdjustFault.LATE: Behaviour(BookEffect.CARRY_OUT, ReplyMode.LATE),
    AdjustFault.LAND_LATE: Behaviour(BookEffect.DELAY, ReplyMode.HANG),
    AdjustFault.LAND_LATE_UNGUARDED: Behaviour(BookEffect.DELAY_UNGUARDED, ReplyMode.HANG),
    AdjustFault.DRIP: Behaviour(BookEffect.CARRY_OUT, ReplyMode.DRIP),
    AdjustFault.HTTP_500: Behaviour(BookEffect.RECEIVE_ONLY, ReplyMode.HTTP_500),
    AdjustFault.HTTP_500_APPLIED: Behaviour(BookEffect.CARRY_OUT, ReplyMode.HTTP_500),
    AdjustFault.NOT_JSON: Behaviour(BookEffect.CARRY_OUT, ReplyMode.NOT_JSON),
    AdjustFault.HTML_PAGE: Behaviour(BookEffect.CARRY_OUT, ReplyMode.HTML_PAGE),
    AdjustFault.CONTRADICTORY: Behaviour(BookEffect.CARRY_OUT, ReplyMode.CONTRADICTORY),
    AdjustFault.WRONG_TYPE: Behaviour(BookEffect.CARRY_OUT, ReplyMode.WRONG_TYPE),
    AdjustFault.OVERSIZED: Behaviour(BookEffect.CARRY_OUT, ReplyMode.OVERSIZED),
    AdjustFault.RESET: Behaviour(BookEffect.RECEIVE_ONLY, ReplyMode.RESET),
    AdjustFault.RESET_APPLIED: Behaviour(BookEffect.CARRY_OUT, ReplyMode.RESET),
    AdjustFault.CUT: Behaviour(BookEffect.CARRY_OUT, ReplyMode.CUT),
    AdjustFault.REDIRECT: Behaviour(BookEffect.RECEIVE_ONLY, ReplyMode.REDIRECT),
    AdjustFault.WRONG_TRACE: Behaviour(BookEffect.CARRY_OUT, ReplyMode.WRONG_TRACE),
    AdjustFault.CONSTANT_TRACE: Behaviour(BookEffect.CARRY_OUT, ReplyMode.CONSTANT_TRACE),
    AdjustFault.NO_TRACE: Behaviour(BookEffect.CARRY_OUT, ReplyMode.NO_TRACE),
    AdjustFault.BYTE_ORDER_MARK: Behaviour(BookEffect.CARRY_OUT, ReplyMode.BYTE_ORDER_MARK),
    AdjustFault.LIST_DATA: Behaviour(BookEffect.CARRY_OUT, ReplyMode.LIST_DATA),
    AdjustFault.REJECT_400: Behaviour(BookEffect.RECEIVE_ONLY, ReplyMode.HTTP_400),
    AdjustFault.REJECT_409: Behaviour(BookEffect.RECEIVE_ONLY, ReplyMode.HTTP_409),
    AdjustFault.BUSY: Behaviour(BookEffect.RECEIVE_ONLY, ReplyMode.HTTP_429),
}

CANCEL_BEHAVIOURS: dict[CancelFault, Behaviour] = {
    CancelFault.FAIL: Behaviour(BookEffect.IGNORE, ReplyMode.HTTP_500),
    CancelFault.ERROR_CODE: Behaviour(BookEffect.IGNORE, ReplyMode.PLAIN),
    CancelFault.HANG: Behaviour(BookEffect.IGNORE, ReplyMode.HANG),
    CancelFault.NOT_JSON: Behaviour(BookEffect.IGNORE, ReplyMode.NOT_JSON),
    CancelFault.CONTRADICTORY: Behaviour(BookEffect.IGNORE, ReplyMode.CONTRADICTORY),
    CancelFault.RESET: Behaviour(BookEffect.IGNORE, ReplyMode.RESET),
    CancelFault.DONE_BUT_LOST: Behaviour(BookEffect.CARRY_OUT, ReplyMode.HANG),
    CancelFault.DONE_BUT_RESET: Behaviour(BookEffect.CARRY_OUT, ReplyMode.RESET),
    CancelFault.NOT_REVERSED: Behaviour(BookEffect.CLAIM, ReplyMode.PLAIN),
    CancelFault.REVERSED_TWICE: Behaviour(BookEffect.REPEAT, ReplyMode.PLAIN),
    CancelFault.WRONG_TRACE: Behaviour(BookEffect.CARRY_OUT, ReplyMode.WRONG_TRACE),
    CancelFault.CONSTANT_TRACE: Behaviour(BookEffect.CARRY_OUT, ReplyMode.CONSTANT_TRACE),
    CancelFault.NO_TRACE: Behaviour(BookEffect.CARRY_OUT, ReplyMode.NO_TRACE),
    CancelFault.BYTE_ORDER_MARK: Behaviour(BookEffect.CARRY_OUT, ReplyMode.BYTE_ORDER_MARK),
    CancelFault.LIST_DATA: Behaviour(BookEffect.CARRY_OUT, ReplyMode.LIST_DATA),
    CancelFault.OWN_CODE: Behaviour(BookEffect.CARRY_OUT, ReplyMode.OWN_CODE),
    CancelFault.IN_PROCESS: Behaviour(BookEffect.IGNORE, ReplyMode.IN_PROCESS),
    CancelFault.REFUSE: Behaviour(BookEffect.IGNORE, ReplyMode.REFUSED_FOR_GOOD),
    CancelFault.HTTP_400: Behaviour(BookEffect.CARRY_OUT, ReplyMode.HTTP_400),
    CancelFault.HTTP_409: Behaviour(BookEffect.CARRY_OUT, ReplyMode.HTTP_409),
    CancelFault.BUSY: Behaviour(BookEffect.IGNORE, ReplyMode.HTTP_429),
    CancelFault.UNAVAILABLE: Behaviour(BookEffect.IGNORE, ReplyMode.HTTP_503),
}


class Simulation(BaseModel):
    """The fault that `metadata.simulate` asks for. An unknown key or value is refused, naming the allowed ones."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    adjust: AdjustFault | None = Field(default=None, strict=False)
    cancel: CancelFault | None = Field(default=None, strict=False)
    times: int | None = Field(default=None, ge=1, le=TIMES_MAX)
    """How many cancel requests for this adjust's number fail; None: all of them."""
    seconds: float = Field(default=5.0, gt=0, le=SECONDS_MAX, allow_inf_nan=False)
    """Delay of the reply in `late`, and of the adjust in `land_late` and `land_late_unguarded`."""

    def adjust_behaviour(self) -> Behaviour:
        """Return the behaviour of the adjust: the correct one if no fault is asked for."""
        return CORRECT if self.adjust is None else ADJUST_BEHAVIOURS[self.adjust]


class _Metadata(BaseModel):
    """A request's metadata; all keys except `simulate` are ignored."""

    simulate: Simulation = Simulation()


def simulation_of(metadata: str | None) -> Simulation:
    """Return the fault that a request's metadata (docs/contract.md#table-1, JSON text) asks for, if any.

    Raises `pydantic.ValidationError` located under `simulate`.
    """
    content = json.loads(metadata) if metadata else None
    return _Metadata.model_validate(content).simulate if isinstance(content, dict) else Simulation()


class CancelFaults:
    """The cancel fault of each adjust number, stored in the database. The first request that names one fixes it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def store(self, number: str, simulation: Simulation) -> None:
        """Store the cancel fault that a request asks for, if any. Repeating it changes nothing, nor the count."""
        if simulation.cancel is None:
            return
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO cancel_faults (number, fault, remaining) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (number, simulation.cancel, simulation.times),
            )

    def take(self, number: str) -> CancelFault | None:
        """Return the fault for the next cancel request of a number, and count it; None if it must not fail."""
        with transaction(self._db):
            row = fetch_one(
                self._db,
                "UPDATE cancel_faults SET remaining = remaining - 1 "
                "WHERE number = ? AND (remaining IS NULL OR remaining > 0) RETURNING fault",
                number,
            )
        return CancelFault(row["fault"]) if row else None
