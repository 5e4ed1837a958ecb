"""Text for people: nothing in it steers a terminal, breaks a column or is taken for markup."""

import unicodedata
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.drawing import styled
from cli.rendering import Fields, Lines, Table, plain
from cli.text import cell, clean, counts, moment

ANY = st.text(st.characters(codec=None))


@given(ANY)
def test_no_control_character_and_no_turn_of_direction_is_left(text: str) -> None:
    left = clean(text)
    assert not [each for each in left if unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not [each for each in left if unicodedata.bidirectional(each) in {"RLO", "LRO", "RLE", "LRE", "PDF", "RLI"}]


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_everything_else_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


@given(st.lists(ANY, min_size=1, max_size=5), st.lists(ANY, min_size=1, max_size=5))
def test_a_row_is_one_line_of_as_many_columns(columns: list[str], values: list[str]) -> None:
    lines = list(plain(Table(columns, [values])))
    assert [line.count("\t") for line in lines] == [len(columns) - 1, len(values) - 1]
    assert not [line for line in lines if len(line.splitlines()) > 1]


def test_plain_fields_are_all_there_with_or_without_a_value() -> None:
    """Else a program that counts on them would read another one's value."""
    assert list(plain(Fields([("decision", None), ("state", "ADJUSTING")]))) == ["decision\t", "state\tADJUSTING"]


def test_sentences_keep_their_lines_apart() -> None:
    assert list(plain(Lines(["a\nb", "c"]))) == [r"a\nb", "c"]


@pytest.mark.parametrize("text", ["[red]x[/red]", "[/]", ":smile:", r"\[x]"])
def test_markup_is_text(text: str) -> None:
    assert styled(text).plain == text


@pytest.mark.parametrize("amount", ["12.50", "-3", "0.10", "100000000000000000000.000000000000000001"])
def test_an_amount_is_shown_as_given(amount: str) -> None:
    assert cell(amount) == amount


def test_a_moment_is_shown_in_utc_to_the_millisecond() -> None:
    there = datetime(2026, 1, 5, 11, 10, 0, 123456, timezone(timedelta(hours=8)))
    assert moment(there) == cell(there) == "2026-01-05T03:10:00.123Z"
    assert moment(there.astimezone(UTC)) == moment(there)


def test_counts_leave_out_what_is_none() -> None:
    assert counts([("CANCELLED", 3), ("ABORTED", 0), ("CANCELLING", 1)]) == "CANCELLED 3, CANCELLING 1"
