"""Finds ambiguities in headers and queries, for API and simulator.

A header or parameter that is sent twice could mean either value, and an unknown parameter would be ignored silently.
Both are refused by name. A blank header or parameter counts as absent. The functions here are pure.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

RawHeaders = Sequence[tuple[bytes, bytes]]
"""Pairs of name and value as ASGI provides them; names are in lower case."""

EXACT_TEXTS = frozenset({"requestUniqueNo", "userName", "thirdServerCode", "number"})
"""Parameters whose value may be white space only: a number may consist of spaces. An empty value counts as absent."""


class BrokenRule(NamedTuple):
    """One rule that a request breaks, and the name of the header or parameter that breaks it, without its value."""

    field: str
    rule: str


def header_problems(headers: RawHeaders, single: Collection[str], plain: Collection[str]) -> Iterator[BrokenRule]:
    """Yield the problems of headers that must have one value.

    Each header in `single` may be sent once. Those in `plain`, a subset of `single`, must not contain a comma either,
    because proxies join repeated headers with commas.
    """
    counts = Counter(name.decode("latin-1") for name, _ in headers)
    listed = {name.decode("latin-1") for name, value in headers if b"," in value}
    for name in single:
        if counts[name.lower()] > 1:
            yield BrokenRule(name, "this header has one value and must be sent once")
        elif name in plain and name.lower() in listed:
            yield BrokenRule(name, "this header has one value and must not hold a comma")


def without_blank_headers(headers: RawHeaders, names: Collection[str]) -> list[tuple[bytes, bytes]]:
    """Return the headers without the blank ones among `names` (in any case)."""
    optional = {name.lower().encode("latin-1") for name in names}
    return [(name, value) for name, value in headers if name not in optional or value.strip(b" \t")]


def query_problems(query: bytes, known: Collection[str], headers: Collection[str]) -> Iterator[BrokenRule]:
    """Yield the problems of a query. `known` are the route's parameters, `headers` the headers that it reads."""
    parameters = [_decoded(piece) for piece in _pieces(query)]
    for name, count in Counter(name for name, _ in parameters).items():
        if name not in known:
            yield BrokenRule(name, _unknown_parameter(name, known, headers))
        elif count > 1:
            yield BrokenRule(name, "this parameter must be sent once")
        elif (name, None) in parameters:
            yield BrokenRule(name, "must be percent-encoded UTF-8")


def without_blank_parameters(query: bytes) -> bytes:
    """Return a query without its blank parameters."""
    return b"&".join(piece for piece in _pieces(query) if not _is_blank(*_decoded(piece)))


def _pieces(query: bytes) -> list[bytes]:
    return [piece for piece in query.split(b"&") if piece]


def _decoded(piece: bytes) -> tuple[str, str | None]:
    """Return name and value of one parameter; the value is None if it is not UTF-8."""
    name, _, value = piece.replace(b"+", b" ").partition(b"=")
    try:
        return unquote_to_bytes(name).decode(errors="replace"), unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        return unquote_to_bytes(name).decode(errors="replace"), None


def _is_blank(name: str, value: str | None) -> bool:
    return value == "" or (value is not None and value.isspace() and name not in EXACT_TEXTS)


def _unknown_parameter(name: str, known: Collection[str], headers: Collection[str]) -> str:
    header = next((each for each in headers if each.lower() == name.lower()), None)
    if header is not None:
        return f"send {header} as a header; it is not a query parameter here"
    return f"is not a query parameter here; there are {', '.join(sorted(known))}" if known else "there are none here"
