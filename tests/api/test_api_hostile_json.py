"""Bodies made to hurt a JSON reader: refused as what they are, in few words, and nothing is accepted."""

import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.http.problems import ERRORS_MAX, FIELD_LENGTH_MAX
from api.http.strict_body import BODY_BYTES_MAX
from tests.api.doors import SETTLEMENTS, Door
from tests.support.orders import order

ORDER = json.dumps(order())
TOO_DEEP, TOO_LONG = "the body is nested too deeply", "a number in the body has too many digits"
NOT_UTF_8, NOT_JSON, TWICE = "the body is not UTF-8", "the body is not JSON", "an object contains a field twice"
ANSWER_BYTES_MAX = 8 * 1024
OPERATIONS = [
    SETTLEMENTS,
    f"{SETTLEMENTS}/N-1/cancel-adjust-retries",
    f"{SETTLEMENTS}/N-1/resolution",
    "/v1/batch-retries",
    "/v1/api-keys",
]


def with_extra(value: str | bytes) -> bytes:
    """Return an order with one more field, whose value is written so."""
    raw = value if isinstance(value, bytes) else value.encode()
    return ORDER[:-1].encode() + b', "extra": ' + raw + b"}"


def nested(depth: int, inner: str = "1") -> str:
    """Return an object in an object, and so on."""
    return '{"a":' * depth + inner + "}" * depth


MALFORMED: dict[str, tuple[bytes, str]] = {
    "open lists to the limit": (b"[" * BODY_BYTES_MAX, TOO_DEEP),
    "closed lists to the limit": (b"[" * (BODY_BYTES_MAX // 2) + b"]" * (BODY_BYTES_MAX // 2), TOO_DEEP),
    "open objects to the limit": (b'{"a":' * (BODY_BYTES_MAX // 5), TOO_DEEP),
    "closed objects": (nested(2700).encode(), TOO_DEEP),
    "a deep field": (with_extra("[" * 2000 + "]" * 2000), TOO_DEEP),
    "integer of 4301 digits": (with_extra("9" * 4301), TOO_LONG),
    "integer of 15000 digits": (with_extra("9" * 15_000), TOO_LONG),
    "negative integer of 5000 digits": (with_extra("-" + "9" * 5000), TOO_LONG),
    "a name twice, deep down": (with_extra(nested(50, '{"b":1,"b":2}')), TWICE),
    "a name twice, in another spelling": (ORDER[:-1].encode() + b', "\\u0061mount": "99"}', TWICE),
    "a name twice, in UTF-16": (ORDER.replace("{", '{"amount": "99.00", ', 1).encode("utf-16"), NOT_UTF_8),
    "UTF-16": (ORDER.encode("utf-16"), NOT_UTF_8),
    "UTF-16 without a mark": (ORDER.encode("utf-16-le"), NOT_UTF_8),
    "UTF-16 the other way round": (ORDER.encode("utf-16-be"), NOT_UTF_8),
    "UTF-32": (ORDER.encode("utf-32"), NOT_UTF_8),
    "UTF-32 without a mark": (ORDER.encode("utf-32-be"), NOT_UTF_8),
    "Latin-1": (with_extra(b'"\xe9"'), NOT_UTF_8),
    "overlong UTF-8": (with_extra(b'"\xc0\xaf"'), NOT_UTF_8),
    "overlong NUL": (with_extra(b'"\xc0\x80"'), NOT_UTF_8),
    "UTF-8 of five bytes": (with_extra(b'"\xf8\x88\x80\x80\x80"'), NOT_UTF_8),
    "a surrogate in UTF-8": (with_extra(b'"\xed\xa0\x80"'), NOT_UTF_8),
    "compressed": (gzip.compress(ORDER.encode()), NOT_UTF_8),
    "no text at all": (b"\xff" * BODY_BYTES_MAX, NOT_UTF_8),
    "NUL": (b"\0" * 100, NOT_JSON),
    "NUL behind it": (ORDER.encode() + b"\0", NOT_JSON),
    "NUL in a text": (with_extra(b'"\0"'), NOT_JSON),
    "digits of another script": (with_extra("\u0663"), NOT_JSON),
    "blanks to the limit": (b" " * BODY_BYTES_MAX, NOT_JSON),
    "two of them": (ORDER.encode() * 2, NOT_JSON),
    "a comment behind it": (ORDER.encode() + b"// done", NOT_JSON),
}
UNKNOWN_FIELD = {
    "integer of 4300 digits": "9" * 4300,
    "beyond any float": "1e400",
    "exponent of 10000 digits": "1e" + "9" * 10_000,
    "NaN deep down": '{"a": [NaN]}',
    "many values": "[" + "0," * 7000 + "0]",
    "many objects": "[" + "{}," * 5000 + "{}]",
    "a long text": '"' + "x" * 15_000 + '"',
    "many surrogates": '"' + "\\ud800" * 2500 + '"',
}


@pytest.mark.parametrize(("content", "detail"), MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("path", OPERATIONS)
async def test_body_that_cannot_be_read_is_told_why(closed_door: Door, path: str, content: bytes, detail: str) -> None:
    """The same at every operation that takes a body, whatever it would do with it."""
    answer = await closed_door.http.post(path, content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (400, "malformed-request", detail)
    assert await closed_door.recorded() == []


@pytest.mark.parametrize("value", UNKNOWN_FIELD.values(), ids=UNKNOWN_FIELD)
async def test_huge_value_of_an_unknown_field_is_refused_at_its_name_alone(closed_door: Door, value: str) -> None:
    answer = await closed_door.post_raw(with_extra(value))
    assert [each["field"] for each in answer.json()["errors"]] == ["extra"]
    assert len(answer.content) < ANSWER_BYTES_MAX


async def test_not_every_broken_rule_is_named(closed_door: Door) -> None:
    """A body has room for more than a thousand unknown fields; its answer would be ten times as long as itself."""
    content = json.dumps({str(name): 0 for name in range(1500)}).encode()
    answer = await closed_door.post_raw(content)
    missing = len(order())
    assert len(answer.json()["errors"]) == ERRORS_MAX
    assert answer.json()["detail"].endswith(f"; and {1500 + missing - ERRORS_MAX} more")
    assert len(answer.content) < ANSWER_BYTES_MAX


async def test_long_name_of_an_unknown_field_is_cut(closed_door: Door) -> None:
    answer = await closed_door.post_raw(json.dumps(order() | {"x" * 15_000: 1}).encode())
    assert [each["field"] for each in answer.json()["errors"]] == ["x" * FIELD_LENGTH_MAX]
    assert len(answer.content) < ANSWER_BYTES_MAX


async def test_byte_order_mark_of_utf_8_is_passed_over(closed_door: Door) -> None:
    """RFC 8259 lets a reader do so, and it changes nothing of what is meant."""
    body = order()
    await closed_door.post_raw(json.dumps(body).encode("utf-8-sig"))
    assert await closed_door.recorded() == [body["requestUniqueNo"]]


scraps = st.sampled_from(
    [b"{", b"}", b"[", b"]", b'"', b":", b",", b"0", b"9" * 50, b"-", b"1e9", b"\\u", b"\\ud800", b"\0", b"\xff", b" "]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, len(ORDER)), cut=st.integers(0, 5), inserted=st.lists(scraps, max_size=4).map(b"".join))
async def test_damaged_order_is_answered_as_documented(
    closed_door: Door, place: int, cut: int, inserted: bytes
) -> None:
    """The door holds every answer against the document. 503: what was left whole was accepted, without Temporal."""
    raw = ORDER.encode()
    answer = await closed_door.post_raw(raw[:place] + inserted + raw[place + cut :])
    assert answer.status_code in {400, 409, 422, 503}
