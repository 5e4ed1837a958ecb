"""Encodes settlement numbers as URL path segments, and decodes them.

A path is split at its slashes before it is decoded, so a number may contain an encoded slash. The numbers `.` and `..`
are dot segments, which many clients remove from a path even if encoded. They get a prefix that no number can contain.
"""

import re
from urllib.parse import quote, unquote_to_bytes

DOT_GUARD = "\x7f"
"""Prefix of the numbers `.` and `..` in a path, as `%7F`. Numbers have no control characters."""

_DOTS = (".", "..")
_RESERVED = re.compile(r"[%/\x00-\x1f\x7f]")
_ESCAPE = re.compile("%([0-9A-F]{2})")


def segment_of(number: str) -> str:
    """Return the path segment of a settlement's number, percent-encoded."""
    return quote(DOT_GUARD + number if number in _DOTS else number, safe="")


def routable(raw_path: bytes) -> str:
    """Decode a path as it was sent, for a router that splits at slashes.

    `%`, `/` and control characters that were encoded in a segment stay encoded; `number_in` decodes them. A segment
    that is not UTF-8 becomes NUL, which no number contains.
    """
    return "/".join(_RESERVED.sub(_escaped, _decoded(segment)) for segment in raw_path.split(b"/"))


def number_in(segment: str) -> str:
    """Return the number in a segment of a `routable` path: the inverse of `segment_of`."""
    number = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), segment)
    return number.removeprefix(DOT_GUARD) if number in {DOT_GUARD + dots for dots in _DOTS} else number


def _decoded(segment: bytes) -> str:
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        return "\0"


def _escaped(character: re.Match[str]) -> str:
    return f"%{ord(character[0]):02X}"
