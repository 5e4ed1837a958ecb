"""Ambiguous headers and queries are refused by name."""

import pytest

from contract.strict_requests import header_problems, query_problems, without_blank_headers, without_blank_parameters

SINGLE = ("companyId", "Content-Type", "trace")
PLAIN = ("companyId", "trace")


def broken_headers(*headers: tuple[bytes, bytes]) -> list[str]:
    return [each.field for each in header_problems(headers, SINGLE, PLAIN)]


def broken_query(query: bytes) -> list[tuple[str, str]]:
    return [(each.field, each.rule) for each in query_problems(query, ["state", "from"], ["companyId"])]


def test_header_with_one_value_is_sent_once() -> None:
    assert broken_headers((b"companyid", b"7"), (b"companyid", b"7")) == ["companyId"]
    assert broken_headers((b"trace", b"t"), (b"trace", b"")) == ["trace"]
    assert broken_headers((b"accept", b"a"), (b"accept", b"b"), (b"trace", b"t")) == []


def test_header_that_a_proxy_has_joined_is_refused() -> None:
    assert broken_headers((b"companyid", b"7, 8"), (b"trace", b"a,b"), (b"content-type", b"a/b; c=d,e")) == [
        "companyId",
        "trace",
    ]


@pytest.mark.parametrize("blank", [b"", b" ", b"\t "])
def test_blank_header_is_removed_whatever_its_case(blank: bytes) -> None:
    assert without_blank_headers([(b"companyid", blank), (b"x", b"")], ["companyId"]) == [(b"x", b"")]


@pytest.mark.parametrize("query", [b"state=A&state=B", b"state=A&stat%65=A", b"state=&state=B", b"state&state"])
def test_parameter_is_sent_once(query: bytes) -> None:
    assert broken_query(query) == [("state", "this parameter must be sent once")]


def test_unknown_parameter_is_refused_with_a_list_of_the_known_ones() -> None:
    assert broken_query(b"State=A") == [("State", "is not a query parameter here; there are from, state")]
    assert broken_query(b"=A") == [("", "is not a query parameter here; there are from, state")]
    assert [each.rule for each in query_problems(b"a=1", [], [])] == ["there are none here"]


def test_header_sent_as_a_parameter_is_refused_with_a_hint() -> None:
    rule = "send companyId as a header; it is not a query parameter here"
    assert broken_query(b"companyid=7") == [("companyid", rule)]


def test_value_that_is_not_utf8_is_refused() -> None:
    """Replacing the invalid bytes would give another value."""
    assert broken_query(b"state=%FF") == [("state", "must be percent-encoded UTF-8")]


@pytest.mark.parametrize(
    ("query", "left"),
    [
        (b"state=&from=x", b"from=x"),
        (b"state&from=%20+%09", b""),
        (b"&&", b""),
        (b"userName=+", b"userName=+"),
        (b"requestUniqueNo=%20&state=+", b"requestUniqueNo=%20"),
        (b"requestUniqueNo=", b""),
    ],
)
def test_blank_parameter_is_removed_unless_white_space_is_a_value(query: bytes, left: bytes) -> None:
    assert without_blank_parameters(query) == left
