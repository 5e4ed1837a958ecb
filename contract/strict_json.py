"""JSON that can be read in only one way: what RFC 8259 leaves open is refused."""

import codecs
import json
import re
from collections.abc import Sequence
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")


class RepeatedNameError(ValueError):
    """An object names a field twice; which one the sender means cannot be known."""


def bare(text: bytes) -> bytes:
    """Return a JSON text without what may stand around it and says nothing: white space, one UTF-8 byte order mark.

    The mark counts only in front, and only once (RFC 8259, 8.1 lets a reader ignore it).
    """
    return text.strip().removeprefix(codecs.BOM_UTF8).strip()


def strict_json(text: bytes) -> object:
    """Parse UTF-8 JSON. Raises RepeatedNameError, or another ValueError for what is not JSON (NaN is not)."""
    return json.loads(bare(text).decode(), object_pairs_hook=no_repeats, parse_constant=not_json)


def request_json(body: bytes) -> object:
    """Parse a request's body. Raises as `strict_json`, but returns NaN and the infinities as floats.

    So the rule of the field that holds one refuses it, by the field's name.
    """
    return json.loads(body.decode("utf-8-sig"), object_pairs_hook=no_repeats)


def member_text(text: bytes, name: str) -> str | None:
    """Return the value of an object's member as it is written, None where it is not there.

    Read as a number and written again, an amount such as 12.50 would be another text. `text` must be an object that
    `strict_json` has read.
    """
    whole, decoder = bare(text).decode(), json.JSONDecoder()
    place = _after_space(whole, 1)
    while whole[place] != "}":
        member, place = decoder.raw_decode(whole, place)
        begin = _after_space(whole, _after_space(whole, place) + len(":"))
        _, end = decoder.raw_decode(whole, begin)
        if member == name:
            return whole[begin:end]
        place = _after_space(whole, end)
        if whole[place] == ",":
            place = _after_space(whole, place + 1)
    return None


def _after_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def not_json(token: str) -> None:
    """Refuse what Python's parser takes beyond JSON. For `parse_constant`."""
    message = f"{token} is not JSON"
    raise ValueError(message)


def no_repeats(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that names a field twice. For `object_pairs_hook`."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        message = "a field stands twice in one object"
        raise RepeatedNameError(message)
    return fields
