"""Misbehaviour on request: `{"simulate": {...}}` in an adjust's metadata, and what each word does.

Two tables say it all: a fault is an effect on the books plus a manner of replying. `docs/simulator.md`
explains them to a broker engineer.
"""

import json
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

SECONDS_MAX = 3_600
TIMES_MAX = 1_000


class Effect(StrEnum):
    """What a request does to the books."""

    CARRY_OUT = "CARRY_OUT"
    """Acts by the rules of the contract."""
    RECEIVE_ONLY = "RECEIVE_ONLY"
    """An adjust is recorded as received, but not applied."""
    IGNORE = "IGNORE"
    """The books do not learn of the request."""
    LAND = "LAND"
    """An adjust reaches the books only after `seconds`, and is refused if its cancel came first."""
    LAND_UNGUARDED = "LAND_UNGUARDED"
    """As LAND, but it takes effect even after its cancel: a broker that does not burn numbers."""


class Manner(StrEnum):
    """How the reply leaves, if it leaves. `payloads.py` and `delivery.py` carry each one out."""

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


class Plan(NamedTuple):
    """What happens to the books, and what happens to the reply."""

    effect: Effect
    manner: Manner


class AdjustFault(StrEnum):
    """The words allowed under `simulate.adjust`."""

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


class CancelFault(StrEnum):
    """The words allowed under `simulate.cancel`."""

    FAIL = "fail"
    ERROR_CODE = "error_code"
    HANG = "hang"
    NOT_JSON = "not_json"
    CONTRADICTORY = "contradictory"
    RESET = "reset"
    DONE_BUT_LOST = "done_but_lost"
    DONE_BUT_RESET = "done_but_reset"
    WRONG_TRACE = "wrong_trace"
    CONSTANT_TRACE = "constant_trace"
    NO_TRACE = "no_trace"
    BYTE_ORDER_MARK = "byte_order_mark"
    LIST_DATA = "list_data"


HONEST = Plan(Effect.CARRY_OUT, Manner.PLAIN)

ADJUST_PLANS: dict[AdjustFault, Plan] = {
    AdjustFault.REJECT: Plan(Effect.RECEIVE_ONLY, Manner.PLAIN),
    AdjustFault.HANG: Plan(Effect.RECEIVE_ONLY, Manner.HANG),
    AdjustFault.HANG_APPLIED: Plan(Effect.CARRY_OUT, Manner.HANG),
    AdjustFault.NEVER_RECEIVED: Plan(Effect.IGNORE, Manner.HANG),
    AdjustFault.LATE: Plan(Effect.CARRY_OUT, Manner.LATE),
    AdjustFault.LAND_LATE: Plan(Effect.LAND, Manner.HANG),
    AdjustFault.LAND_LATE_UNGUARDED: Plan(Effect.LAND_UNGUARDED, Manner.HANG),
    AdjustFault.DRIP: Plan(Effect.CARRY_OUT, Manner.DRIP),
    AdjustFault.HTTP_500: Plan(Effect.RECEIVE_ONLY, Manner.HTTP_500),
    AdjustFault.HTTP_500_APPLIED: Plan(Effect.CARRY_OUT, Manner.HTTP_500),
    AdjustFault.NOT_JSON: Plan(Effect.CARRY_OUT, Manner.NOT_JSON),
    AdjustFault.HTML_PAGE: Plan(Effect.CARRY_OUT, Manner.HTML_PAGE),
    AdjustFault.CONTRADICTORY: Plan(Effect.CARRY_OUT, Manner.CONTRADICTORY),
    AdjustFault.WRONG_TYPE: Plan(Effect.CARRY_OUT, Manner.WRONG_TYPE),
    AdjustFault.OVERSIZED: Plan(Effect.CARRY_OUT, Manner.OVERSIZED),
    AdjustFault.RESET: Plan(Effect.RECEIVE_ONLY, Manner.RESET),
    AdjustFault.RESET_APPLIED: Plan(Effect.CARRY_OUT, Manner.RESET),
    AdjustFault.CUT: Plan(Effect.CARRY_OUT, Manner.CUT),
    AdjustFault.REDIRECT: Plan(Effect.RECEIVE_ONLY, Manner.REDIRECT),
    AdjustFault.WRONG_TRACE: Plan(Effect.CARRY_OUT, Manner.WRONG_TRACE),
    AdjustFault.CONSTANT_TRACE: Plan(Effect.CARRY_OUT, Manner.CONSTANT_TRACE),
    AdjustFault.NO_TRACE: Plan(Effect.CARRY_OUT, Manner.NO_TRACE),
    AdjustFault.BYTE_ORDER_MARK: Plan(Effect.CARRY_OUT, Manner.BYTE_ORDER_MARK),
    AdjustFault.LIST_DATA: Plan(Effect.CARRY_OUT, Manner.LIST_DATA),
}

CANCEL_PLANS: dict[CancelFault, Plan] = {
    CancelFault.FAIL: Plan(Effect.IGNORE, Manner.HTTP_500),
    CancelFault.ERROR_CODE: Plan(Effect.IGNORE, Manner.PLAIN),
    CancelFault.HANG: Plan(Effect.IGNORE, Manner.HANG),
    CancelFault.NOT_JSON: Plan(Effect.IGNORE, Manner.NOT_JSON),
    CancelFault.CONTRADICTORY: Plan(Effect.IGNORE, Manner.CONTRADICTORY),
    CancelFault.RESET: Plan(Effect.IGNORE, Manner.RESET),
    CancelFault.DONE_BUT_LOST: Plan(Effect.CARRY_OUT, Manner.HANG),
    CancelFault.DONE_BUT_RESET: Plan(Effect.CARRY_OUT, Manner.RESET),
    CancelFault.WRONG_TRACE: Plan(Effect.CARRY_OUT, Manner.WRONG_TRACE),
    CancelFault.CONSTANT_TRACE: Plan(Effect.CARRY_OUT, Manner.CONSTANT_TRACE),
    CancelFault.NO_TRACE: Plan(Effect.CARRY_OUT, Manner.NO_TRACE),
    CancelFault.BYTE_ORDER_MARK: Plan(Effect.CARRY_OUT, Manner.BYTE_ORDER_MARK),
    CancelFault.LIST_DATA: Plan(Effect.CARRY_OUT, Manner.LIST_DATA),
}


class Simulation(BaseModel):
    """What `metadata.simulate` asks for. An unknown key or word is refused, naming the allowed ones."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    adjust: AdjustFault | None = Field(default=None, strict=False)
    cancel: CancelFault | None = Field(default=None, strict=False)
    times: int | None = Field(default=None, ge=1, le=TIMES_MAX)
    """How many cancel requests for this adjust's number misbehave; None: all of them."""
    seconds: float = Field(default=5.0, gt=0, le=SECONDS_MAX, allow_inf_nan=False)
    """How late `late` replies, and the `land_late` pair lands."""

    def adjust_plan(self) -> Plan:
        """Return what the adjust does; the contract's own way where no fault is asked for."""
        return HONEST if self.adjust is None else ADJUST_PLANS[self.adjust]


class _Envelope(BaseModel):
    """The metadata around it; whatever else stands there belongs to others."""

    simulate: Simulation = Simulation()


def simulation_of(metadata: str | None) -> Simulation:
    """Read what a request's metadata (JSON text, contract tables 1 and 2) asks for; nothing when it says nothing.

    Raises `pydantic.ValidationError` located under `simulate`.
    """
    remarks = json.loads(metadata) if metadata else None
    return _Envelope.model_validate(remarks).simulate if isinstance(remarks, dict) else Simulation()
