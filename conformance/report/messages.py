"""Cuts the bytes of an exchange for a report: a hostile reply must not make a report unreadable."""

from typing import NamedTuple

_HEAD_ENDS = b"\r\n\r\n"
_CONTINUATION = 0b1000_0000
"""The first two bits of every byte of a UTF-8 character after its first."""
_CONTINUATION_BYTES_MAX = 3
"""A UTF-8 character has at most three bytes after its first."""


class Cut(NamedTuple):
    """The first bytes of something."""

    data: bytes
    omitted: int
    """Number of bytes that are not in `data`."""


class Message(NamedTuple):
    """A request or a reply. One without the blank line after its head has an empty body."""

    head: Cut
    body: Cut
    size: int
    """Number of bytes of the whole message."""


def message(data: bytes, head_bytes_max: int, body_bytes_max: int) -> Message:
    """Return head and body, each cut to a limit in bytes. The head ends with its blank line."""
    head, separator, body = data.partition(_HEAD_ENDS)
    return Message(cut(head + separator, head_bytes_max), cut(body, body_bytes_max), len(data))


def cut(data: bytes, bytes_max: int) -> Cut:
    """Return at most `bytes_max` bytes. The cut is never inside a UTF-8 character."""
    if len(data) <= bytes_max:
        return Cut(data, 0)
    end = bytes_max
    while end > bytes_max - _CONTINUATION_BYTES_MAX and end > 0 and _continues(data[end]):
        end -= 1
    # Where no character starts nearby, the bytes are not UTF-8, and any place is as good.
    end = bytes_max if _continues(data[end]) else end
    return Cut(data[:end], len(data) - end)


def _continues(byte: int) -> bool:
    return byte & 0b1100_0000 == _CONTINUATION
