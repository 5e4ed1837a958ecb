"""What the audit keeps of a reply: every field of table 4, each bounded and printable."""

import re
from typing import Self

from contract.model import Model
from contract.operations import ExternalReply

CUT = "…"
"""The last character of a text that was cut."""
BYTES_PER_CHARACTER = 3
"""A text of n characters takes at most 3 n bytes in UTF-8: one of the Basic Multilingual Plane is never cut for its
bytes, one with characters beyond it may be."""


def shown(text: str, length_max: int) -> str:
    """Return a text without unprintable characters, of at most `length_max` characters and 3 bytes for each of them.

    Every unprintable character (control, format, lone surrogate) becomes U+FFFD. A longer text is cut and ends in `…`.
    """
    bytes_max = BYTES_PER_CHARACTER * length_max
    printable = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text[: length_max + 1])
    if len(printable) <= length_max and len(printable.encode()) <= bytes_max:
        return printable
    whole_characters = printable[: length_max - 1].encode()[: bytes_max - len(CUT.encode())]
    return whole_characters.decode(errors="ignore") + CUT


CODE_LENGTH_MAX = 64
"""Characters of `code` and of `bizCode`."""
MSG_LENGTH_MAX = 200
"""Characters of `msg` and of `msgParams`."""
TRACE_LENGTH_MAX = 128
"""Characters of `trace`; ours are no longer."""
DATA_LENGTH_MAX = 500
"""Characters of `data`."""

_LINE_BREAKS = re.compile(r"[\t\n\r][\t\n\r ]*")
"""White space between the tokens of a JSON text; inside its strings no such character can stand."""


class ReplyRecord(Model):
    """One reply of table 4 as it came. A text longer than its bound is cut and ends in `…` (`settlement.reply_record`).

    It may hold personal data: it stays out of the Temporal UI, of search attributes, metrics and logs.
    """

    biz_code: str | None = None
    """At most 64 characters."""
    code: str
    """At most 64 characters."""
    msg: str | None = None
    """At most 200 characters."""
    tm: int | None = None
    """The external system's own processing time in ms, as it says; any int64."""
    trace: str | None = None
    """At most 128 characters."""
    msg_params: str | None = None
    """At most 200 characters."""
    data: str | None = None
    """The JSON text of `data` as it was written, line breaks aside; at most 500 characters. No JSON text ends in `…`:
    one that does was cut. None: null, or not there."""
    ok: bool | None = None
    fail: bool | None = None

    @classmethod
    def of(cls, reply: ExternalReply, data: str | None) -> Self:
        """Record a reply; `data` is the JSON text of its field of that name."""
        return cls(
            biz_code=_shown(reply.bizCode, CODE_LENGTH_MAX),
            code=shown(reply.code, CODE_LENGTH_MAX),
            msg=_shown(reply.msg, MSG_LENGTH_MAX),
            tm=reply.tm,
            trace=_shown(reply.trace, TRACE_LENGTH_MAX),
            msg_params=_shown(reply.msgParams, MSG_LENGTH_MAX),
            data=_shown(data and _LINE_BREAKS.sub(" ", data), DATA_LENGTH_MAX),
            ok=reply.ok,
            fail=reply.fail,
        )


def _shown(text: str | None, length_max: int) -> str | None:
    return None if text is None else shown(text, length_max)
