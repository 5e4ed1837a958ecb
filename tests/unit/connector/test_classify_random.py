"""Whatever bytes come back: one outcome, no exception, and applied only under the strict conditions.

The conditions are written a second time in `second_reading.py`, without the connector's models, from the contract.
"""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.classify import classify
from connector.exchange import REPLY_BYTES_MAX, NoReply, NotSent
from settlement.states import Outcome
from tests.unit.connector.second_reading import TYPES, check

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=True),
    st.sampled_from(["0", "1", "", "true", "US_0000001"]),
    st.text(st.characters(codec="utf-8"), max_size=5),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
)
likely: dict[str, st.SearchStrategy[Any]] = {
    "code": st.sampled_from(["0", "0", "0", "E1", "US_0000002"]),
    "ok": st.sampled_from([True, True, False, None]),
    "fail": st.sampled_from([False, False, True, None]),
    "msg": st.text(max_size=8),
    "tm": st.integers(-(2**63), 2**63 - 1),
    "data": st.dictionaries(st.text(max_size=3), values, max_size=2),
}


@st.composite
def near_replies(draw: st.DrawFn) -> bytes:
    """Draw a reply that is correct, or wrong in one or two places."""
    names = draw(st.lists(st.sampled_from(["code", "ok", "fail", *TYPES, "extra"]), max_size=7))
    if draw(st.integers(0, 4)):
        names = list(dict.fromkeys(["code", *names]))
    wild = draw(st.integers(0, len(names) * 2))
    pairs = [
        (name, draw(values if place == wild or name not in likely else likely[name]))
        for place, name in enumerate(names)
    ]
    ascii_only = draw(st.booleans())
    members = (f"{json.dumps(name)}:{json.dumps(value, ensure_ascii=ascii_only)}" for name, value in pairs)
    return ("{" + ",".join(members) + "}").encode(errors="surrogatepass")


@given(st.sampled_from([200, 200, 200, 201, 302, 500]), st.binary(max_size=200), st.booleans())
def test_random_bytes_have_exactly_one_outcome(status: int, body: bytes, oversized: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
    check(status, body, oversized=oversized)


@given(st.text(max_size=100))
def test_random_text_has_exactly_one_outcome(text: str) -> None:
    check(200, text.encode(errors="surrogatepass"))


@settings(max_examples=200)
@given(near_replies())
def test_near_replies_are_applied_only_under_the_strict_conditions(body: bytes) -> None:
    check(200, body)


@settings(max_examples=200)
@given(near_replies(), st.integers(0, 300), st.binary(max_size=3), st.integers(0, 3))
def test_damaged_replies_are_applied_only_under_the_strict_conditions(
    body: bytes, place: int, inserted: bytes, cut: int
) -> None:
    place = min(place, len(body))
    check(200, body[:place] + inserted + body[place + cut :])


@given(values)
def test_any_json_has_exactly_one_outcome(value: object) -> None:
    check(200, json.dumps(value).encode(errors="surrogatepass"))


@given(st.text(max_size=400), st.booleans())
def test_no_reply_is_always_unknown(detail: str, deadline_passed: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
    assert classify(NoReply(deadline_passed, detail)).outcome is Outcome.UNKNOWN
    assert classify(NotSent(detail)).outcome is Outcome.NOT_SENT


def test_the_largest_reply_is_still_read() -> None:
    body = b'{"code":"0","msg":"' + b"x" * (REPLY_BYTES_MAX - 21) + b'"}'
    assert len(body) == REPLY_BYTES_MAX
    check(200, body)
