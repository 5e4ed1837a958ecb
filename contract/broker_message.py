"""What the platform can show to its user when the broker has rejected an order. Pure."""

import re
from collections.abc import Iterable

from contract.calls import CallRecord, Operation
from contract.model import Model
from contract.shown_text import shown
from contract.states import Outcome

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
    text = None if message is None else shown(filled_in(message, params), TEXT_LENGTH_MAX)
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
