"""Reads the header `Retry-After` (RFC 9110, 10.2.3) of a reply."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

SECONDS_MAX = 86_400
"""A longer wait is recorded as this one."""
_LENGTH_MAX = 64
_SECONDS = re.compile(r"[0-9]{1,10}")


def retry_after_s(values: Sequence[str], date: str | None, now: datetime) -> int | None:
    """Return the wait that a reply asks for, in whole seconds from 0 to `SECONDS_MAX`.

    `values` are all headers `Retry-After` of the reply: seconds, or an HTTP date. A date counts from the reply's header
    `Date` if that can be read, so that the two clocks need not agree, and else from `now`. Returns None if there is no
    header, more than one, or one that cannot be read.
    """
    if len(values) != 1 or len(values[0]) > _LENGTH_MAX:
        return None
    value = values[0].strip()
    if _SECONDS.fullmatch(value):
        return min(int(value), SECONDS_MAX)
    until = _http_date(value)
    if until is None:
        return None
    wait_s = (until - (_http_date(date or "") or now)).total_seconds()
    return min(max(0, round(wait_s)), SECONDS_MAX)


def _http_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value[:_LENGTH_MAX])
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
