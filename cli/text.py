"""Values as text for people: nothing that comes from the API can steer a terminal or break a column."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, tabs and line breaks among them; what turns the direction of writing; halves of characters."""


def clean(text: str) -> str:
    r"""Return the text with all that steers a terminal written out: a line break becomes the two characters \n."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def cell(value: object) -> str:
    """Return a value as text for a cell: nothing for None, a moment in UTC to the millisecond, all else as it is."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return moment(value)
    return clean(str(value))


def moment(at: datetime) -> str:
    """Return a moment in UTC, such as 2026-01-05T03:10:00.000Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def counts(by_word: Iterable[tuple[str, int]]) -> str:
    """Return counts by word in one line, such as "CANCELLED 3, ABORTED 1"; zeros are left out."""
    return ", ".join(f"{word} {count}" for word, count in by_word if count)
