"""The settlement as the platform sees it over HTTP: the resource it reads."""

from datetime import datetime

from contract.adjust import AdjustBody
from contract.broker_message import BrokerMessage
from contract.calls import CallRecord, Rule
from contract.model import Model
from contract.payloads import OperatorAct, StateChange
from contract.states import CancelResult, Decision, State


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
