"""The settlement as the platform sees it over HTTP, with the broker's message for the platform's user."""

import re
from collections.abc import Iterable
from datetime import datetime

from contract.adjust import AdjustBody
from contract.model import Model
from contract.operations import Operation
from settlement.calls import CallRecord, Rule
from settlement.reply_record import printable
from settlement.snapshot import OperatorAction, StateChange
from settlement.states import CancelResult, Decision, Outcome, State

TEXT_LENGTH_MAX = 500
"""Characters of a message with its placeholders filled in; a longer one is cut and ends in `…`."""

_NUMBERED = re.compile(r"\{(0|[1-9][0-9]?)\}")
_IN_TURN = re.compile(r"\{\}")
_PERCENT_S = re.compile(r"%s")
_FORMS = (_NUMBERED, _IN_TURN, _PERCENT_S)
_SOMETHING_ELSE = re.compile(r"[{}]|%([0-9]+\$)?[-+#0]*[0-9*]*(\.[0-9*]+)?[A-Za-z]")
"""What makes a form unclear beside its own placeholders: any other brace, or any other conversion such as `%d`."""
_ESCAPES = ("{{", "}}", "\\{", "\\}", "\\%", "%%", "'{", "}'", "${", "#{", "%{")


class BrokerMessage(Model):
    """Why the broker rejected the adjust, from its reply. It may hold personal data."""

    code: str
    message: str | None
    """The reply's `msg` as given; null where it has none."""
    params: tuple[str, ...]
    """The values of the reply's `msgParams`, which are separated by commas; empty where it has none."""
    text: str | None
    """The message, its placeholders filled in where their form is clear, else as given; null where there is none."""


def broker_message(calls: Iterable[CallRecord]) -> BrokerMessage | None:
    """Return what the broker said when it rejected the adjust; None: it did not (no reply, or none that counts)."""
    adjust = next((call for call in calls if call.operation is Operation.ADJUST), None)
    if adjust is None or adjust.verdict.outcome is not Outcome.REJECTED or adjust.verdict.reply is None:
        return None
    reply = adjust.verdict.reply
    message, params = reply.msg or None, split_params(reply.msg_params)
    text = None if message is None else printable(filled_in(message, params), TEXT_LENGTH_MAX)
    return BrokerMessage(code=reply.code, message=message, params=params, text=text)


def split_params(msg_params: str | None) -> tuple[str, ...]:
    """Return the values of `msgParams` (table 4), each as given; none where it is absent or empty."""
    return tuple(msg_params.split(",")) if msg_params else ()


def filled_in(message: str, params: tuple[str, ...]) -> str:
    """Return the message with its placeholders filled in, or as given where it is not clear how.

    Clear is one form alone, with exactly as many placeholders as values: `{0}`, `{1}`, … that name each value at least
    once, or `{}` or `%s` in turn. Left as given: two forms mixed, more or fewer values than placeholders (a value that
    holds a comma cannot be told from two), escapes such as `{{` or `%%`, other placeholders such as `{name}` or `%d`.
    A value is put in as it is: what looks like a placeholder in it stays.
    """
    used = [form for form in _FORMS if form.search(message)]
    if len(used) != 1 or any(escape in message for escape in _ESCAPES):
        return message
    [form] = used
    if _SOMETHING_ELSE.search(form.sub("", message)):
        return message
    places = [int(index) for index in form.findall(message)] if form is _NUMBERED else range(len(form.findall(message)))
    if set(places) != set(range(len(params))):
        return message
    values = iter([params[place] for place in places])
    return form.sub(lambda _: next(values), message)


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
    operator_actions: tuple[OperatorAction, ...]
    state_changes: tuple[StateChange, ...]
    """Every state entered after ADJUSTING, in order."""
    audit_complete: bool
    """False: calls, acts or state changes are missing, because a backup of the ledger was restored."""
    temporal_ui_url: str | None
    """The workflow's page; null where no UI address is configured."""
