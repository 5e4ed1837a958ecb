"""Safe text: it cannot control a terminal, break a column or be read as markup."""

import unicodedata
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.drawing import styled
from cli.rendering import Fields, Lines, Table, cell, clean, counts, plain, timestamp

ANY = st.text(st.characters(codec=None))


@given(ANY)
def test_clean_text_has_no_control_and_no_direction_characters(text: str) -> None:
    cleaned = clean(text)
    assert not [each for each in cleaned if unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not [
        each for each in cleaned if unicodedata.bidirectional(each) in {"RLO", "LRO", "RLE", "LRE", "PDF", "RLI"}
    ]


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_clean_does_not_change_other_text(text: str) -> None:
    assert clean(text) == text


@given(st.lists(ANY, min_size=1, max_size=5), st.lists(ANY, min_size=1, max_size=5))
def test_a_row_is_one_line_with_all_its_columns(columns: list[str], values: list[str]) -> None:
    lines = list(plain(Table(columns, [values])))
    assert [line.count("\t") for line in lines] == [len(columns) - 1, len(values) - 1]
    assert not [line for line in lines if len(line.splitlines()) > 1]


def test_plain_output_contains_fields_without_a_value() -> None:
    """Otherwise a script would read the value of another field."""
    assert list(plain(Fields([("decision", None), ("state", "ADJUSTING")]))) == ["decision\t", "state\tADJUSTING"]


def test_lines_are_printed_separately() -> None:
    assert list(plain(Lines(["a\nb", "c"]))) == [r"a\nb", "c"]


@pytest.mark.parametrize("text", ["[red]x[/red]", "[/]", ":smile:", r"\[x]"])
def test_markup_is_printed_as_text(text: str) -> None:
    assert styled(text).plain == text


@pytest.mark.parametrize("amount", ["12.50", "-3", "0.10", "100000000000000000000.000000000000000001"])
def test_an_amount_is_printed_unchanged(amount: str) -> None:
    assert cell(amount) == amount


def test_a_time_is_printed_in_utc_with_milliseconds() -> None:
    local = datetime(2026, 1, 5, 11, 10, 0, 123456, timezone(timedelta(hours=8)))
    assert timestamp(local) == cell(local) == "2026-01-05T03:10:00.123Z"
    assert timestamp(local.astimezone(UTC)) == timestamp(local)


def test_counts_omit_zeros() -> None:
    assert counts([("CANCELLED", 3), ("ABORTED", 0), ("CANCELLING", 1)]) == "CANCELLED 3, CANCELLING 1"
