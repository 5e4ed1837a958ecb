"""Parses JSON strictly: what RFC 8259 leaves to the parser, such as repeated names, is refused."""

import codecs
import json
import re
from collections.abc import Sequence
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")


class RepeatedNameError(ValueError):
    """An object contains a field twice, so its meaning is ambiguous."""


def without_insignificant_bytes(text: bytes) -> bytes:
    """Return a JSON text without surrounding white space and without one leading UTF-8 byte order mark.

    RFC 8259, 8.1 allows a parser to ignore the mark.
    """
    return text.strip().removeprefix(codecs.BOM_UTF8).strip()


def strict_json(text: bytes) -> object:
    """Parse UTF-8 JSON. Raises RepeatedNameError, or another ValueError for what is not JSON (NaN is not)."""
    return json.loads(without_insignificant_bytes(text).decode(), object_pairs_hook=no_repeats, parse_constant=not_json)


def request_json(body: bytes) -> object:
    """Parse a request's body. Raises as `strict_json`, but returns NaN and the infinities as floats.

    So the rule of the field that holds one refuses it, by the field's name.
    """
    return json.loads(body.decode("utf-8-sig"), object_pairs_hook=no_repeats)


def member_text(text: bytes, name: str) -> str | None:
    """Return the value of an object's member exactly as it is written; None if the object has no such member.

    Parsing and writing it again could change it: the number 12.50 would become 12.5. `text` must be an object that
    `strict_json` accepts.
    """
    document, decoder = without_insignificant_bytes(text).decode(), json.JSONDecoder()
    position = _after_space(document, 1)
    while document[position] != "}":
        member, position = decoder.raw_decode(document, position)
        start = _after_space(document, _after_space(document, position) + len(":"))
        _, end = decoder.raw_decode(document, start)
        if member == name:
            return document[start:end]
        position = _after_space(document, end)
        if document[position] == ",":
            position = _after_space(document, position + 1)
    return None


def _after_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def not_json(token: str) -> None:
    """Refuse NaN and Infinity, which Python's parser accepts. For `parse_constant`."""
    message = f"{token} is not JSON"
    raise ValueError(message)


def no_repeats(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that contains a field twice. For `object_pairs_hook`."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        message = "an object contains a field twice"
        raise RepeatedNameError(message)
    return fields
