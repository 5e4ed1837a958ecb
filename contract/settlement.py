"""The settlement as the platform sees it over HTTP: the request it posts and the resource it reads."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from contract.adjust import AdjustBody, AdjustRequest
from contract.broker_message import BrokerMessage
from contract.calls import CallRecord, Rule
from contract.fields import UNIQUE_NO_LENGTH_MAX
from contract.model import Model
from contract.payloads import OperatorAct, StateChange
from contract.states import CancelResult, Decision, State

_URL_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@+=-]*")


def is_settlement_no(value: object) -> bool:
    """Tell whether a value has the form of a settlement's number."""
    return isinstance(value, str) and len(value) <= UNIQUE_NO_LENGTH_MAX and _URL_SAFE.fullmatch(value) is not None


def _url_safe(value: str) -> str:
    if not _URL_SAFE.fullmatch(value):
        message = "must start with a letter or digit and hold only letters, digits and . _ ~ : @ + = -"
        raise ValueError(message)
    return value


SettlementNo = Annotated[
    str,
    Field(
        min_length=1,
        max_length=UNIQUE_NO_LENGTH_MAX,
        examples=["ORD-20260105-0001"],
        json_schema_extra={"pattern": f"^{_URL_SAFE.pattern}$"},
    ),
    AfterValidator(_url_safe),
]


class SettlementRequest(AdjustRequest):
    """What the platform posts: an adjust of table 1 whose number can stand in a path and a workflow id.

    The narrower number is this front door's own rule; the wire contract allows any 48 characters.
    """

    requestUniqueNo: SettlementNo


class Settlement(Model):
    """One settlement. The order may proceed only on `decision: PROCEED`; null means: not decided yet."""

    request_unique_no: str
    state: State
    decision: Decision | None
    cancel_result: CancelResult | None
    cause: Rule | None
    """Why it is not consistent yet: the rule of its last external call, while CANCELLING or ABORTED; else null."""
    reason: str
    trace: str
    company_id: int | None
    accepted_at: datetime
    decided_at: datetime | None
    updated_at: datetime
    order: AdjustBody
    broker_message: BrokerMessage | None
    """Why the broker rejected the adjust, for the platform to show to its user; null unless it did."""
    calls: tuple[CallRecord, ...]
    """Every external call attempted, in order; a call in flight when a worker was lost says UNKNOWN."""
    operator_acts: tuple[OperatorAct, ...]
    state_changes: tuple[StateChange, ...]
    """Every state entered after ADJUSTING, in order."""
    audit_complete: bool
    """False: calls, acts or state changes are missing, because a backup of the ledger was restored."""
    temporal_ui_url: str | None
    """The workflow's page; null where no UI address is configured."""


class SettlementEvent(Model):
    """One state entered, as the event stream tells it. Its id counts from 0 (accepted, into ADJUSTING)."""

    request_unique_no: str
    state: State
    decision: Decision | None
    at: datetime
    reason: str
