"""A settlement's number: table 1's 48 characters, narrowed to what can stand in a path and a workflow id."""

import string
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contract.adjust import AdjustRequest
from contract.settlement import SettlementRequest, is_settlement_no
from tests.unit.contract.wire_bodies import ADJUST, refusals

FORM = "Value error, must start with a letter or digit and hold only letters, digits and . _ ~ : @ + = -"
FIRST = string.ascii_letters + string.digits
LATER = FIRST + "._~:@+=-"

REFUSED = {
    "slash": "a/b",
    "path up": "../a",
    "dot first": ".a",
    "dash first": "-a",
    "space": "a b",
    "percent": "a%2Fb",
    "question mark": "a?b",
    "hash": "a#b",
    "semicolon": "a;b",
    "comma": "a,b",
    "quote": "a'b",
    "backslash": "a\\b",
    "newline at the end": "a\n",
    "NUL": "a\x00",
    "outside ASCII": "a\u00e9",
    "full-width letter": "\uff21",
    "Arabic-Indic digit": "\u0661",
}


@pytest.mark.parametrize("number", REFUSED.values(), ids=REFUSED)
def test_number_that_cannot_stand_in_a_path_is_refused(number: str) -> None:
    refused = refusals(SettlementRequest, {**ADJUST, "requestUniqueNo": number})
    assert refused == {"requestUniqueNo": FORM}
    assert not is_settlement_no(number)


@pytest.mark.parametrize(
    ("number", "message"),
    [("", "String should have at least 1 character"), ("x" * 49, "String should have at most 48 characters")],
    ids=["empty", "49 characters"],
)
def test_length_is_table_1s(number: str, message: str) -> None:
    assert refusals(SettlementRequest, {**ADJUST, "requestUniqueNo": number}) == {"requestUniqueNo": message}
    assert not is_settlement_no(number)


@pytest.mark.parametrize("number", [*FIRST, *(f"0{each}" for each in LATER), "x" * 48])
def test_every_allowed_character_is_accepted(number: str) -> None:
    assert refusals(SettlementRequest, {**ADJUST, "requestUniqueNo": number}) == {}
    assert is_settlement_no(number)


@given(st.one_of(st.text(max_size=50), st.text(LATER, max_size=50)))
@example("x" * 48)
@example("x" * 49)
def test_both_doors_judge_a_number_alike(number: str) -> None:
    """What POST accepts GET finds, and nothing else."""
    assert (refusals(SettlementRequest, {**ADJUST, "requestUniqueNo": number}) == {}) is is_settlement_no(number)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,47}", fullmatch=True))
def test_accepted_number_needs_no_escape_in_a_path_and_keeps_table_1(number: str) -> None:
    assert quote(number, safe="~:@+=") == number
    assert refusals(AdjustRequest, {**ADJUST, "requestUniqueNo": number}) == {}
