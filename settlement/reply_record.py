"""The record of an external reply in the audit: every field of table 4, bounded in length and printable."""

import re
from typing import Self

from contract.model import Model
from contract.operations import ExternalReply

CUT = "…"
"""Last character of a truncated text."""
BYTES_PER_CHARACTER = 3
"""A text of at most n characters is also limited to 3 n bytes in UTF-8. Characters of the Basic Multilingual Plane take
at most 3 bytes, so only texts with other characters can exceed the byte limit first."""


def printable(text: str, length_max: int) -> str:
    """Return the text without unprintable characters, truncated to `length_max` characters and 3 x `length_max` bytes.

    Each unprintable character (control, format, lone surrogate) is replaced by U+FFFD. A truncated text ends in `…`.
    """
    bytes_max = BYTES_PER_CHARACTER * length_max
    printable = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text[: length_max + 1])
    if len(printable) <= length_max and len(printable.encode()) <= bytes_max:
        return printable
    whole_characters = printable[: length_max - 1].encode()[: bytes_max - len(CUT.encode())]
    return whole_characters.decode(errors="ignore") + CUT


CODE_LENGTH_MAX = 64
"""Maximum characters of `code` and of `bizCode`."""
MSG_LENGTH_MAX = 200
"""Maximum characters of `msg` and of `msgParams`."""
TRACE_LENGTH_MAX = 128
"""Maximum characters of `trace`. The traces that we send are not longer."""
DATA_LENGTH_MAX = 500
"""Maximum characters of `data`."""

_LINE_BREAKS = re.compile(r"[\t\n\r][\t\n\r ]*")
"""White space with a line break or tab. In JSON it can occur only between tokens, never inside a string."""


class ReplyRecord(Model):
    """One reply of table 4 as received. A text above its limit is truncated and ends in `…`.

    It may contain personal data, so it must not appear in the Temporal UI, search attributes, metrics or logs.
    """

    biz_code: str | None = None
    """At most 64 characters."""
    code: str
    """At most 64 characters."""
    msg: str | None = None
    """At most 200 characters."""
    tm: int | None = None
    """The external system's own processing time in ms, as stated in the reply; any int64."""
    trace: str | None = None
    """At most 128 characters."""
    msg_params: str | None = None
    """At most 200 characters."""
    data: str | None = None
    """The JSON text of `data` as received, without line breaks; at most 500 characters. No complete JSON text ends in
    `…`, so one that does was truncated. None if `data` is null or absent."""
    ok: bool | None = None
    fail: bool | None = None

    @classmethod
    def of(cls, reply: ExternalReply, data: str | None) -> Self:
        """Return the record of a reply; `data` is the JSON text of the reply's field `data`."""
        return cls(
            biz_code=_printable_or_none(reply.bizCode, CODE_LENGTH_MAX),
            code=printable(reply.code, CODE_LENGTH_MAX),
            msg=_printable_or_none(reply.msg, MSG_LENGTH_MAX),
            tm=reply.tm,
            trace=_printable_or_none(reply.trace, TRACE_LENGTH_MAX),
            msg_params=_printable_or_none(reply.msgParams, MSG_LENGTH_MAX),
            data=_printable_or_none(data and _LINE_BREAKS.sub(" ", data), DATA_LENGTH_MAX),
            ok=reply.ok,
            fail=reply.fail,
        )


def _printable_or_none(text: str | None, length_max: int) -> str | None:
    return None if text is None else printable(text, length_max)
