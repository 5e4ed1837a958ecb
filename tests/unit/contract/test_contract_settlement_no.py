"""The number of a settlement: 1 to 48 characters, without control characters and lone surrogates.

See docs/contract.md#table-1.
"""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contract.adjust import AdjustRequest
from contract.fields import is_unique_no
from tests.unit.contract.wire_bodies import ADJUST, refusals

REFUSED = {
    "newline at the end": "a\n",
    "NUL": "a\x00",
    "DEL": "a\x7f",
    "C1": "a\x85",
    "lone surrogate": "a\ud800",
    "low surrogate": "\udfff",
}
ACCEPTED = {
    "space": " ",
    "spaces at both ends": "  a  ",
    "slash": "a/b",
    "slashes": "//",
    "dot": ".",
    "two dots": "..",
    "path up": "../../a",
    "dash first": "-a",
    "percent": "a%2Fb",
    "question mark": "a?b=c&d",
    "hash": "a#b",
    "comma": "a,b;c",
    "quotes": "a'b\"c`d",
    "backslash": "a\\b",
    "letters with accents": "\u00e9",
    "the same, decomposed": "e\u0301",
    "Chinese": "\u8ba2\u5355-1",
    "byte order mark": "\ufeffa",
    "line separator": "a\u2028b",
    "last code point": "\U0010ffff",
    "48 characters of 4 bytes": "\U0001f4b6" * 48,
}


@pytest.mark.parametrize("number", REFUSED.values(), ids=REFUSED)
def test_number_with_a_forbidden_character_is_refused(number: str) -> None:
    assert set(refusals(AdjustRequest, {**ADJUST, "requestUniqueNo": number})) == {"requestUniqueNo"}
    assert not is_unique_no(number)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("", "String should have at least 1 character"),
        ("x" * 49, "String should have at most 48 characters"),
        ("\U0001f4b6" * 49, "String should have at most 48 characters"),
    ],
    ids=["empty", "49 characters", "49 characters of 4 bytes"],
)
def test_length_is_counted_in_characters(number: str, message: str) -> None:
    assert refusals(AdjustRequest, {**ADJUST, "requestUniqueNo": number}) == {"requestUniqueNo": message}
    assert not is_unique_no(number)


@pytest.mark.parametrize("number", ACCEPTED.values(), ids=ACCEPTED)
def test_every_other_number_is_accepted(number: str) -> None:
    assert refusals(AdjustRequest, {**ADJUST, "requestUniqueNo": number}) == {}
    assert is_unique_no(number)


@given(st.text(max_size=50))
@example("x" * 48)
@example("x" * 49)
def test_body_and_path_accept_the_same_numbers(number: str) -> None:
    """GET finds exactly the numbers that POST accepts."""
    assert (refusals(AdjustRequest, {**ADJUST, "requestUniqueNo": number}) == {}) is is_unique_no(number)


@pytest.mark.parametrize("value", [None, 7, b"N-1", ["N-1"]])
def test_value_that_is_not_a_text_is_not_a_number(value: object) -> None:
    assert not is_unique_no(value)
