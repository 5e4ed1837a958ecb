"""The settlement resource of the HTTP API, with the broker's message for the platform's user."""

import re
from collections.abc import Iterable
from datetime import datetime

from contract.adjust import AdjustBody
from contract.model import Model
from contract.operations import Operation
from settlement.calls import CallRecord, Rule
from settlement.reply_record import printable
from settlement.snapshot import OperatorAction, ResolutionProposal, StateChange
from settlement.start import SubmittedBy
from settlement.states import CancelResult, Decision, Outcome, State

TEXT_LENGTH_MAX = 500
"""Maximum characters of a message with its placeholders filled in. A longer one is cut and ends in `…`."""

_NUMBERED = re.compile(r"\{(0|[1-9][0-9]?)\}")
_IN_ORDER = re.compile(r"\{\}")
_PERCENT_S = re.compile(r"%s")
_FORMS = (_NUMBERED, _IN_ORDER, _PERCENT_S)
_OTHER_PLACEHOLDER = re.compile(r"[{}]|%([0-9]+\$)?[-+#0]*[0-9*]*(\.[0-9*]+)?[A-Za-z]")
"""Any other brace, or any other conversion such as `%d`: with one of these the form of the message is not clear."""
_ESCAPES = ("{{", "}}", "\\{", "\\}", "\\%", "%%", "'{", "}'", "${", "#{", "%{")


class BrokerMessage(Model):
    """Why the broker rejected the adjust, from its reply. It may hold personal data."""

    code: str
    message: str | None
    """The reply's `msg`, unchanged; null if it has none."""
    params: tuple[str, ...]
    """The values of the reply's `msgParams`, which are separated by commas; empty if it has none."""
    text: str | None
    """The message with its placeholders filled in if their form is clear, else unchanged; null if there is none."""


def broker_message(calls: Iterable[CallRecord]) -> BrokerMessage | None:
    """Return the broker's message if it rejected the adjust; None for any other outcome of the adjust."""
    adjust = next((call for call in calls if call.operation is Operation.ADJUST), None)
    if adjust is None or adjust.verdict.outcome is not Outcome.REJECTED or adjust.verdict.reply is None:
        return None
    reply = adjust.verdict.reply
    message, params = reply.msg or None, split_params(reply.msg_params)
    text = None if message is None else printable(filled_in(message, params), TEXT_LENGTH_MAX)
    return BrokerMessage(code=reply.code, message=message, params=params, text=text)


def split_params(msg_params: str | None) -> tuple[str, ...]:
    """Split `msgParams` at its commas, without changing the values; empty if it is absent or empty.

    See docs/contract.md#table-4.
    """
    return tuple(msg_params.split(",")) if msg_params else ()


def filled_in(message: str, params: tuple[str, ...]) -> str:
    """Return the message with its placeholders filled in if their form is clear, else unchanged.

    The form is clear if there is only one, with as many placeholders as values: `{0}`, `{1}`, … with each value used
    at least once, or `{}` in order, or `%s` in order. The message is unchanged with two forms, with more or fewer
    values than placeholders (a value that contains a comma looks like two values), with escapes such as `{{` or `%%`,
    and with other placeholders such as `{name}` or `%d`. Placeholders inside a value are not filled in.
    """
    used = [form for form in _FORMS if form.search(message)]
    if len(used) != 1 or any(escape in message for escape in _ESCAPES):
        return message
    [form] = used
    if _OTHER_PLACEHOLDER.search(form.sub("", message)):
        return message
    found = form.findall(message)
    positions = [int(index) for index in found] if form is _NUMBERED else range(len(found))
    if set(positions) != set(range(len(params))):
        return message
    values = iter([params[position] for position in positions])
    return form.sub(lambda _: next(values), message)


class Settlement(Model):
    """One settlement. The order may proceed only if `decision` is PROCEED; null means that there is no decision yet."""

    request_unique_no: str
    state: State
    decision: Decision | None
    cancel_result: CancelResult | None
    cause: Rule | None
    """The rule of the last external call while the settlement is CANCELLING or ABORTED; else null."""
    reason: str
    trace: str
    company_id: int | None
    submitted_by: SubmittedBy | None
    """The client that submitted the order, and the id of its key. A repeated order does not change it."""
    system: str
    """Name of the external system that settles it, as in the configuration at acceptance."""
    accepted_at: datetime
    decided_at: datetime | None
    updated_at: datetime
    order: AdjustBody
    broker_message: BrokerMessage | None
    """Why the broker rejected the adjust, for the platform's user; null unless the adjust was REJECTED."""
    calls: tuple[CallRecord, ...]
    """Every attempted external call, in order. A call that was in flight when its worker was lost is UNKNOWN."""
    operator_actions: tuple[OperatorAction, ...]
    needs_second_operator: bool
    """Whether a resolution must be approved by an operator of another client than the one that proposed it."""
    resolution_proposal: ResolutionProposal | None
    """The resolution that waits for its approval; of a RESOLVED settlement, the one that was approved."""
    state_changes: tuple[StateChange, ...]
    """Every state that was entered after ADJUSTING, in order."""
    audit_complete: bool
    """False if calls, operator actions or state changes are missing because a ledger backup was restored."""
    temporal_ui_url: str | None
    """The workflow's page in the Temporal UI; null if no UI address is configured."""
