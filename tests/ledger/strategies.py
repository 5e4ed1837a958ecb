"""Any snapshot that the contract's limits allow, for hypothesis."""

from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from contract.model import Model
from contract.operations import Operation
from settlement.calls import CallRecord, Phase, Rule, Verdict
from settlement.ids import CancelKind
from settlement.reply_record import ReplyRecord
from settlement.snapshot import ActionKind, CancelIntent, OperatorAction, Snapshot, StateChange
from settlement.states import CancelResult, Decision, Outcome, State

M = TypeVar("M", bound=Model)

INT32_MAX = 2**31 - 1

moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).flatmap(  # noqa: DTZ001 - it gets its zone here
    lambda naive: st.integers(-840, 840).map(lambda offset: naive.replace(tzinfo=timezone(timedelta(minutes=offset))))
)
"""Any moment, to the microsecond, in any zone of whole minutes."""


def models(model: type[M], **fields: SearchStrategy[Any]) -> SearchStrategy[M]:
    """Return the model made of any of the fields; `st.builds` would add those that have aliases once more."""
    return st.fixed_dictionaries(fields).map(lambda values: model(**values))


def texts(length_max: int) -> SearchStrategy[str]:
    """Return any text that both databases can hold: no lone surrogates, no NUL."""
    return st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=length_max)


replies = models(
    ReplyRecord,
    biz_code=st.none() | texts(64),
    code=texts(64),
    msg=st.none() | texts(200),
    tm=st.none() | st.integers(-(2**63), 2**63 - 1),
    trace=st.none() | texts(128),
    msg_params=st.none() | texts(200),
    data=st.none() | texts(500),
    ok=st.none() | st.booleans(),
    fail=st.none() | st.booleans(),
)
verdicts = models(
    Verdict,
    outcome=st.sampled_from(Outcome),
    rule=st.sampled_from(Rule),
    detail=texts(300),
    http_status=st.none() | st.integers(100, 599),
    retry_after_s=st.none() | st.integers(0, 86_400),
    reply=st.none() | replies,
    phase=st.none() | st.sampled_from(Phase),
)
calls = models(
    CallRecord,
    operation=st.sampled_from(Operation),
    kind=st.none() | st.sampled_from(CancelKind),
    request_unique_no=texts(48),
    round=st.integers(0, 100),
    attempt=st.integers(1, 100),
    sent_at=moments,
    duration_ms=st.none() | st.integers(0, INT32_MAX),
    verdict=verdicts,
    cancel_result=st.none() | st.sampled_from(CancelResult),
)
acts = models(
    OperatorAction,
    kind=st.sampled_from(ActionKind),
    operator=texts(64),
    reason_code=st.none() | texts(32),
    note=texts(500),
    broker_reference=st.none() | texts(500),
    at=moments,
)
state_changes = models(StateChange, state=st.sampled_from(State), at=moments, reason=texts(500))
cancel_intents = models(
    CancelIntent, kind=st.sampled_from(CancelKind), request_time_ms=st.integers(0, 2**53), remark=texts(200)
)
snapshots = models(
    Snapshot,
    version=st.integers(0, INT32_MAX),
    state=st.sampled_from(State),
    decision=st.none() | st.sampled_from(Decision),
    cancel_result=st.none() | st.sampled_from(CancelResult),
    reason=texts(500),
    decided_at=st.none() | moments,
    updated_at=moments,
    calls=st.lists(calls, max_size=4).map(tuple),
    actions=st.lists(acts, max_size=3).map(tuple),
    state_changes=st.lists(state_changes, max_size=4).map(tuple),
    cancel_intents=st.lists(cancel_intents, max_size=2).map(tuple),
)
