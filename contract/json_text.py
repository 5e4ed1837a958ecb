"""JSON that can be read in only one way: what RFC 8259 leaves open is refused."""

import codecs
import json
from collections.abc import Sequence
from typing import Any


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
