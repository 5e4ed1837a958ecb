"""Bodies that are made to damage a JSON parser: rejected with a short, correct error; nothing is accepted."""

import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.http.problems import ERRORS_MAX, FIELD_LENGTH_MAX
from api.http.strict_body import BODY_BYTES_MAX
from tests.api.api_harness import SETTLEMENTS, ApiHarness
from tests.support.orders import order

ORDER = json.dumps(order())
TOO_DEEP, TOO_LONG = "the body is nested too deeply", "a number in the body has too many digits"
NOT_UTF_8, NOT_JSON, TWICE = "the body is not UTF-8", "the body is not JSON", "an object contains a field twice"
ANSWER_BYTES_MAX = 8 * 1024
OPERATIONS = [
    SETTLEMENTS,
    f"{SETTLEMENTS}/N-1/cancel-adjust-retries",
    f"{SETTLEMENTS}/N-1/resolution",
    f"{SETTLEMENTS}/N-1/resolution-approvals",
    f"{SETTLEMENTS}/N-1/resolution-withdrawals",
    "/v1/batch-retries",
    "/v1/api-keys",
]


def with_extra(value: str | bytes) -> bytes:
    """Return an order with one more field, which has this raw value."""
    raw = value if isinstance(value, bytes) else value.encode()
    return ORDER[:-1].encode() + b', "extra": ' + raw + b"}"


def nested(depth: int, inner: str = "1") -> str:
    """Return nested objects."""
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


@pytest.mark.parametrize("path", OPERATIONS)
async def test_an_unreadable_body_is_rejected_with_the_reason(api_without_temporal: ApiHarness, path: str) -> None:
    """Every operation with a body rejects it in the same way."""
    wrong = {}
    for name, (content, detail) in MALFORMED.items():
        answer = await api_without_temporal.http.post(
            path, content=content, headers={"content-type": "application/json"}
        )
        seen = (answer.status_code, answer.json()["code"], answer.json()["detail"])
        if seen != (400, "malformed-request", detail):
            wrong[name] = seen
    assert wrong == {}
    assert await api_without_temporal.accepted_numbers() == []


@pytest.mark.parametrize("value", UNKNOWN_FIELD.values(), ids=UNKNOWN_FIELD)
async def test_a_huge_value_of_an_unknown_field_is_reported_by_its_name_only(
    api_without_temporal: ApiHarness, value: str
) -> None:
    answer = await api_without_temporal.post_raw(with_extra(value))
    assert [each["field"] for each in answer.json()["errors"]] == ["extra"]
    assert len(answer.content) < ANSWER_BYTES_MAX


async def test_the_number_of_reported_rules_is_limited(api_without_temporal: ApiHarness) -> None:
    """A body has room for a thousand unknown fields. Naming all would make the response ten times as large."""
    content = json.dumps({str(name): 0 for name in range(1500)}).encode()
    answer = await api_without_temporal.post_raw(content)
    missing = len(order())
    assert len(answer.json()["errors"]) == ERRORS_MAX
    assert answer.json()["detail"].endswith(f"; and {1500 + missing - ERRORS_MAX} more")
    assert len(answer.content) < ANSWER_BYTES_MAX


async def test_a_long_name_of_an_unknown_field_is_truncated(api_without_temporal: ApiHarness) -> None:
    answer = await api_without_temporal.post_raw(json.dumps(order() | {"x" * 15_000: 1}).encode())
    assert [each["field"] for each in answer.json()["errors"]] == ["x" * FIELD_LENGTH_MAX]
    assert len(answer.content) < ANSWER_BYTES_MAX


async def test_a_byte_order_mark_is_ignored(api_without_temporal: ApiHarness) -> None:
    """RFC 8259 allows this, and the value stays the same."""
    body = order()
    await api_without_temporal.post_raw(json.dumps(body).encode("utf-8-sig"))
    assert await api_without_temporal.accepted_numbers() == [body["requestUniqueNo"]]


scraps = st.sampled_from(
    [b"{", b"}", b"[", b"]", b'"', b":", b",", b"0", b"9" * 50, b"-", b"1e9", b"\\u", b"\\ud800", b"\0", b"\xff", b" "]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, len(ORDER)), cut=st.integers(0, 5), inserted=st.lists(scraps, max_size=4).map(b"".join))
async def test_a_damaged_order_gets_a_documented_response(
    api_without_temporal: ApiHarness, place: int, cut: int, inserted: bytes
) -> None:
    """The harness checks every response. 503: the order stayed valid and was accepted, but there is no Temporal."""
    raw = ORDER.encode()
    answer = await api_without_temporal.post_raw(raw[:place] + inserted + raw[place + cut :])
    assert answer.status_code in {400, 409, 422, 503}
