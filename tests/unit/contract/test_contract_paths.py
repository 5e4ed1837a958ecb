"""Every number has one path segment, from which the same number is decoded."""

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contract.fields import is_unique_no
from contract.path_segments import number_in, routable, segment_of
from tests.unit.contract.test_contract_settlement_no import ACCEPTED

numbers = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=48)


@given(numbers)
@example(".")
@example("..")
@example("%2F")
@example("%7F..")
@example("/%/")
def test_segment_is_decoded_to_its_number(number: str) -> None:
    segment = segment_of(number)
    assert number_in(routable(segment.encode("ascii"))) == number
    assert not {"/", "?", "#", " "} & set(segment)
    assert segment not in {"", ".", ".."}
    # The dot segments of the WHATWG URL standard, which browsers follow.
    assert segment.lower() not in {"%2e", "%2e%2e", ".%2e", "%2e."}


@given(st.sets(numbers, min_size=2, max_size=9))
def test_different_numbers_have_different_segments(drawn: set[str]) -> None:
    assert len({segment_of(number) for number in drawn}) == len(drawn)


@pytest.mark.parametrize("number", ACCEPTED.values(), ids=ACCEPTED)
def test_every_percent_encoding_of_a_number_is_decoded_to_it(number: str) -> None:
    """Libraries encode differently: all characters, with lower-case digits, or only the necessary ones."""
    for safe in ("", "-._~!$&'()*+,;=:@"):
        encoded = quote(number, safe=safe)
        assert number_in(routable(encoded.encode())) == number
    everything = "".join(f"%{byte:02x}" for byte in number.encode())
    assert number_in(routable(everything.encode())) == number


def test_path_is_split_at_its_slashes_before_it_is_decoded() -> None:
    assert routable(b"/v1/settlements/a%2Fb%252F/%65vents") == "/v1/settlements/a%2Fb%252F/events"


@pytest.mark.parametrize("segment", [b"%FF", b"a%C3", b"%ED%A0%80", b"\xff"])
def test_segment_that_is_not_utf8_is_not_a_number(segment: bytes) -> None:
    assert not is_unique_no(number_in(routable(segment)))


@pytest.mark.parametrize("segment", [b"%7F", b"%7Fa", b"%7F...", b"a%7F", b"%0A", b"%00."])
def test_segment_with_a_control_character_is_not_a_number(segment: bytes) -> None:
    """The prefix of dot segments is a control character; it is allowed only there."""
    assert not is_unique_no(number_in(routable(segment)))
