r"""Makes every byte and every character visible, so that text of an endpoint can be shown as it came.

What cannot be seen is written as an escape: `\xff` is a byte that is not UTF-8, `\x00` and `\r` are control
characters, `\ufeff` is an invisible character, `\ud800` is a lone surrogate. LF stays a line break.
The results contain only characters that XML and HTML allow.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

_NAMED = {"\r": "\\r", "\t": "\\t"}
_FIRST_BYTE, _LAST_BYTE = 0xDC80, 0xDCFF
"""`surrogateescape` decodes the byte N, which is not UTF-8, to the code point 0xDC00 + N."""


class Piece(NamedTuple):
    """A part of a text. An escape stands for characters that cannot be seen."""

    text: str
    is_escape: bool


def pieces(text: str) -> Iterator[Piece]:
    """Return the parts of a text in order; consecutive escapes are one part."""
    return _pieces(text, is_decoded=False)


def byte_pieces(data: bytes) -> Iterator[Piece]:
    """Return the parts of bytes, which should be UTF-8, in order."""
    return _pieces(data.decode("utf-8", "surrogateescape"), is_decoded=True)


def visible(text: str) -> str:
    """Return a text with escapes for what cannot be seen."""
    return "".join(piece.text for piece in pieces(text))


def visible_bytes(data: bytes) -> str:
    """Return bytes as a text, with escapes for what is not UTF-8 and what cannot be seen."""
    return "".join(piece.text for piece in byte_pieces(data))


def _pieces(text: str, *, is_decoded: bool) -> Iterator[Piece]:
    for is_seen, characters in groupby(text, key=_is_seen):
        if is_seen:
            yield Piece("".join(characters), is_escape=False)
        else:
            yield Piece("".join(_escape(each, is_decoded=is_decoded) for each in characters), is_escape=True)


def _is_seen(character: str) -> bool:
    return character == "\n" or character.isprintable()


def _escape(character: str, *, is_decoded: bool) -> str:
    point = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    if is_decoded and _FIRST_BYTE <= point <= _LAST_BYTE:
        return f"\\x{point - 0xDC00:02x}"
    if point < ord(" ") or character == "\x7f":
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"  # noqa: PLR2004 - as Python writes them
