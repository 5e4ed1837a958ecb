"""Every byte and character of an endpoint is visible in a report, and cuts are exact."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.report.messages import cut, message
from conformance.report.visible import Piece, byte_pieces, visible, visible_bytes


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"plain text, 100 %", "plain text, 100 %"),
        ("größe 金額 😀".encode(), "größe 金額 😀"),
        (b"a\r\nb\n\tc", "a\\r\nb\n\\tc"),
        (b"\x00\x1b[31m\x7f", r"\x00\x1b[31m\x7f"),
        (b"\xff\xc3(", r"\xff\xc3("),
        (b"\xef\xbb\xbf{}", r"\ufeff{}"),
        ("\u202e\u200b\u00a0\u0085".encode(), r"\u202e\u200b\u00a0\u0085"),
        ("\ud800".encode("utf-8", "surrogatepass"), r"\xed\xa0\x80"),
        ("\U000e0001".encode(), r"\U000e0001"),
    ],
)
def test_what_cannot_be_seen_is_an_escape(data: bytes, shown: str) -> None:
    assert visible_bytes(data) == shown


def test_a_lone_surrogate_of_a_text_is_no_byte() -> None:
    assert visible("\udc80 \ud800") == r"\udc80 \ud800"


def test_an_escape_can_be_told_from_the_same_characters_in_the_text() -> None:
    assert list(byte_pieces(b"\\x00\x00\x00")) == [Piece("\\x00", is_escape=False), Piece("\\x00\\x00", is_escape=True)]


@given(st.binary())
def test_no_byte_gets_lost_and_nothing_invisible_stays(data: bytes) -> None:
    shown = visible_bytes(data)
    assert not [each for each in shown if each != "\n" and unicodedata.category(each)[0] == "C"]
    parts = [
        piece.text.encode("latin-1").decode("unicode_escape") if piece.is_escape else piece.text
        for piece in byte_pieces(data)
    ]
    if data.isascii():
        assert "".join(parts).encode() == data


@given(st.binary(), st.integers(0, 40))
def test_a_cut_says_how_many_bytes_are_missing(data: bytes, limit: int) -> None:
    kept = cut(data, limit)
    assert data.startswith(kept.data)
    assert len(kept.data) + kept.omitted == len(data)
    assert len(kept.data) <= limit


@given(st.text(), st.integers(4, 40))
def test_a_cut_is_never_inside_a_character(text: str, limit: int) -> None:
    data = text.encode("utf-8", "ignore")
    cut(data, limit).data.decode()


@given(st.binary(), st.binary())
def test_head_and_body_together_are_the_message(head: bytes, body: bytes) -> None:
    data = head + b"\r\n\r\n" + body
    found = message(data, len(data), len(data))
    assert found.head.data + found.body.data == data
    assert found.head.data.endswith(b"\r\n\r\n")
    assert found.size == len(data)


def test_a_reply_that_ends_in_its_head_has_no_body() -> None:
    assert message(b"HTTP/1.1 200 OK\r\n", 100, 100).body.data == b""
