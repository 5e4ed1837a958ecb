"""The header `Retry-After`: whole seconds, or an HTTP date; anything else is ignored."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.retry_after import SECONDS_MAX, retry_after_s

NOW = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)
READ = {
    "0": 0,
    "7": 7,
    " 7 ": 7,
    "0007": 7,
    "86401": SECONDS_MAX,
    "9999999999": SECONDS_MAX,
    "Mon, 05 Jan 2026 12:00:30 GMT": 30,
    "Monday, 05-Jan-26 12:00:30 GMT": 30,
    "Mon Jan  5 12:00:30 2026": 30,
    "Mon, 05 Jan 2026 11:59:00 GMT": 0,
    "Mon, 05 Jan 2099 12:00:00 GMT": SECONDS_MAX,
}
IGNORED = ["", "-1", "+7", "7.5", "7s", "1e3", "soon", "99999999999", "7, 8", "\u0667", "9" * 100, "x" * 10_000]


@pytest.mark.parametrize(("value", "seconds"), READ.items())
def test_seconds_and_dates_are_read(value: str, seconds: int) -> None:
    assert retry_after_s([value], None, NOW) == seconds


@pytest.mark.parametrize("value", IGNORED)
def test_anything_else_is_ignored(value: str) -> None:
    assert retry_after_s([value], None, NOW) is None


def test_no_header_and_two_headers_are_ignored() -> None:
    assert retry_after_s([], None, NOW) is None
    assert retry_after_s(["7", "7"], None, NOW) is None


def test_a_date_counts_from_the_brokers_own_clock_if_the_reply_has_it() -> None:
    until, date = "Mon, 05 Jan 2026 18:00:30 GMT", "Mon, 05 Jan 2026 18:00:00 GMT"
    assert retry_after_s([until], date, NOW) == 30
    assert retry_after_s([until], "no date", NOW) == 6 * 3600 + 30


@given(st.text(), st.none() | st.text())
def test_no_header_raises(value: str, date: str | None) -> None:
    seconds = retry_after_s([value], date, NOW)
    assert seconds is None or 0 <= seconds <= SECONDS_MAX
