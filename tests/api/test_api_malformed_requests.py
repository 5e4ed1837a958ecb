"""A body that is not a JSON object is rejected with a 4xx problem, never with 500; nothing is accepted."""

import json
from typing import Any

import httpx2
import pytest

from api.http.strict_body import StrictJsonRoute
from tests.api.api_harness import SETTLEMENTS, ApiHarness
from tests.api.invalid_orders import FIELDS
from tests.support.orders import order

TEXTS = sorted({*FIELDS} - {"bizType", "amountDigits", "orderId", "requestTime"})
INTEGERS = ("bizType", "amountDigits", "orderId", "requestTime")

NOT_JSON = {
    "cut off": b'{"amount":',
    "words": b"hello",
    "two objects": b"{} {}",
    "trailing comma": b'{"a":1,}',
    "single quotes": b"{'a':1}",
    "raw newline in a text": b'{"userName":"a\nb"}',
    "raw NUL": b'{"userName":"a\x00b"}',
    "only blanks": b" \r\n\t ",
    "invalid UTF-8": b'{"userName":"\xff\xfe"}',
    "cut off UTF-8": b'{"userName":"\xe2\x82"}',
    "8000 open lists": b"[" * 8000,
    "2000 open objects": b'{"a":' * 2000,
    "8000 nested lists": b"[" * 8000 + b"]" * 8000,
    "integer of 5000 digits": b'{"orderId":' + b"9" * 5000 + b"}",
    "negative integer of 5000 digits": b'{"orderId":-' + b"9" * 5000 + b"}",
}
TWICE = {
    "two amounts": ('"99.00"', "utf-8"),
    "with a byte order mark": ('"99.00"', "utf-8-sig"),
    "in UTF-16": ('"99.00"', "utf-16"),
    "in UTF-32": ('"99.00"', "utf-32"),
    "first one NaN": ("NaN", "utf-8"),
    "first one infinite": ("-Infinity", "utf-8"),
    "first one an object": ('{"amount": "1.00"}', "utf-8"),
}
"""The amount before the valid one, and the encoding of the body."""
NO_OBJECT = {
    "nothing": b"",
    "list": b"[]",
    "list of orders": b"[{}]",
    "text": b'"{}"',
    "number": b"7",
    "true": b"true",
    "null": b"null",
    "NaN": b"NaN",
}
CONTENT_TYPES = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "application/octet-stream",
    "text/json",
    "text/x+json",
    "json",
    ";",
]


async def refused(api: ApiHarness, answer: httpx2.Response, code: str, field: str | None = None) -> None:
    """Check a rejection. The harness checks that it is a well-formed problem."""
    assert answer.json()["code"] == code
    assert 400 <= answer.status_code < 500
    assert [each["field"] for each in answer.json().get("errors", [])] == ([field] if field else [])
    assert await api.accepted_numbers() == []


@pytest.mark.parametrize("content", NOT_JSON.values(), ids=NOT_JSON)
async def test_body_that_is_not_json_is_malformed(api_without_temporal: ApiHarness, content: bytes) -> None:
    await refused(api_without_temporal, await api_without_temporal.post_raw(content), "malformed-request")


@pytest.mark.parametrize("name", ["amount", "requestUniqueNo"])
async def test_a_repeated_field_is_malformed(api_without_temporal: ApiHarness, name: str) -> None:
    """It is ambiguous which amount is meant. Replies of the external system are parsed in the same way."""
    content = json.dumps(order()).encode().replace(b"{", b'{"' + name.encode() + b'": "99.00", ', 1)
    await refused(api_without_temporal, await api_without_temporal.post_raw(content), "malformed-request")


@pytest.mark.parametrize(("first", "encoding"), TWICE.values(), ids=TWICE)
async def test_a_repeated_amount_is_never_accepted(api_without_temporal: ApiHarness, first: str, encoding: str) -> None:
    """The check for repeated fields must not depend on how the body is written."""
    content = json.dumps(order()).replace("{", f'{{"amount": {first}, ', 1)
    await refused(
        api_without_temporal, await api_without_temporal.post_raw(content.encode(encoding)), "malformed-request"
    )


async def test_a_repeated_amount_in_invalid_utf8_is_never_accepted(api_without_temporal: ApiHarness) -> None:
    content = json.dumps(order()).encode().replace(b"{", b'{"amount": "\xed\xa0\x80", ', 1)
    await refused(api_without_temporal, await api_without_temporal.post_raw(content), "malformed-request")


@pytest.mark.parametrize("content", NO_OBJECT.values(), ids=NO_OBJECT)
async def test_a_body_that_is_not_an_object_is_reported_as_body(
    api_without_temporal: ApiHarness, content: bytes
) -> None:
    await refused(api_without_temporal, await api_without_temporal.post_raw(content), "validation-failed", "body")


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
async def test_a_valid_body_of_another_media_type_is_rejected(
    api_without_temporal: ApiHarness, content_type: str
) -> None:
    answer = await api_without_temporal.post_raw(json.dumps(order()).encode(), **{"content-type": content_type})
    await refused(api_without_temporal, answer, "unsupported-media-type")


async def test_a_valid_body_without_a_media_type_is_rejected(api_without_temporal: ApiHarness) -> None:
    answer = await api_without_temporal.http.post(SETTLEMENTS, content=json.dumps(order()).encode())
    await refused(api_without_temporal, answer, "unsupported-media-type")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/x+json"])
async def test_json_is_json_however_its_type_is_written(api_without_temporal: ApiHarness, content_type: str) -> None:
    body = order()
    await api_without_temporal.post_raw(json.dumps(body).encode(), **{"content-type": content_type})
    assert await api_without_temporal.accepted_numbers() == [body["requestUniqueNo"]]


async def test_body_is_parsed_once(api_without_temporal: ApiHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value that was checked for repeated names is the accepted one: no second parse could differ."""
    body = order()
    content = json.dumps(body).encode()
    parsed: list[str | bytes] = []
    loads = json.loads

    def recording_loads(text: str | bytes, **options: Any) -> object:  # noqa: ANN401 - passed on as they are
        parsed.append(text)
        return loads(text, **options)

    monkeypatch.setattr(json, "loads", recording_loads)
    await api_without_temporal.post_raw(content)
    assert [text for text in parsed if text in {content, content.decode()}] == [content.decode()]
    assert await api_without_temporal.accepted_numbers() == [body["requestUniqueNo"]]


def test_every_operation_with_a_body_reads_it_strictly(api_without_temporal: ApiHarness) -> None:
    with_body = [route for route in api_without_temporal.app.state.endpoints if getattr(route, "body_field", None)]
    assert [route.path for route in with_body if not isinstance(route, StrictJsonRoute)] == []
    assert len(with_body) >= 7


@pytest.mark.parametrize("field", TEXTS)
async def test_lone_surrogate_is_refused_at_its_field(api_without_temporal: ApiHarness, field: str) -> None:
    """JSON can express it, but UTF-8, and so database and wire, cannot."""
    for value in ("\ud800", "a\udfffb", '"\udc00"'):
        content = json.dumps(order() | {field: value}).encode()
        await refused(api_without_temporal, await api_without_temporal.post_raw(content), "validation-failed", field)


async def test_surrogate_written_as_bytes_is_malformed(api_without_temporal: ApiHarness) -> None:
    """Python's JSON parser accepts these bytes, although they are not UTF-8."""
    content = json.dumps(order(userName="BYTES")).encode().replace(b"BYTES", b"\xed\xa0\x80")
    await refused(api_without_temporal, await api_without_temporal.post_raw(content), "malformed-request")


@pytest.mark.parametrize("name", ["\ud800", "amount\udfff", "\x00", "\u202e", "\U0001f600"])
async def test_an_unusual_field_name_is_rejected(api_without_temporal: ApiHarness, name: str) -> None:
    """If a name cannot be shown in a response, the error names the body."""
    answer = await api_without_temporal.post_raw(json.dumps({**order(), name: 1}).encode())
    can_be_repeated = name.encode(errors="ignore").decode() == name
    await refused(api_without_temporal, answer, "validation-failed", name if can_be_repeated else "body")


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e400", "1E2", "9" * 4000, "-" + "9" * 4000])
async def test_an_invalid_number_is_reported_at_its_field(api_without_temporal: ApiHarness, token: str) -> None:
    """Python's parser accepts NaN, infinities, and integers with thousands of digits."""
    for field in (*INTEGERS, "amount"):
        content = json.dumps(order() | {field: "TOKEN"}).replace('"TOKEN"', token)
        await refused(
            api_without_temporal, await api_without_temporal.post_raw(content.encode()), "validation-failed", field
        )


@pytest.mark.parametrize("depth", [100, 900, 990])
@pytest.mark.parametrize("field", ["metadata", "amount", "bizType", "extra"])
async def test_deep_value_is_refused(api_without_temporal: ApiHarness, field: str, depth: int) -> None:
    """Just below Python's nesting limit the body can be parsed, and validation rejects it."""
    content = json.dumps(order() | {field: "DEEP"}).replace('"DEEP"', "[" * depth + "]" * depth)
    answer = await api_without_temporal.post_raw(content.encode())
    assert answer.status_code in {400, 422}
    assert await api_without_temporal.accepted_numbers() == []


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/settlements", "/v1/settlement", "/v1/settlements/a/b"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_unknown_route_is_a_problem(api_without_temporal: ApiHarness, method: str, path: str) -> None:
    answer = await api_without_temporal.http.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/settlements", {"GET", "POST"}),
        ("PUT", "/v1/settlements", {"GET", "POST"}),
        ("DELETE", "/v1/settlements/N-1", {"GET"}),
        ("POST", "/v1/settlements/N-1", {"GET"}),
        ("PATCH", "/v1/settlements/N-1", {"GET"}),
        ("GET", "/v1/settlements/N-1/resolution", {"POST"}),
        ("DELETE", "/v1/settlements/N-1/cancel-adjust-retries", {"POST"}),
        ("POST", "/healthz", {"GET"}),
        ("POST", "/readyz", {"GET"}),
        ("POST", "/metrics", {"GET"}),
        ("POST", "/openapi.json", {"GET"}),
        ("BREW", "/v1/settlements", {"GET", "POST"}),
    ],
)
async def test_a_wrong_method_gets_all_allowed_methods(
    api_without_temporal: ApiHarness, method: str, path: str, allowed: set[str]
) -> None:
    """RFC 9110, 15.5.6: Allow lists the methods that the resource supports."""
    answer = await api_without_temporal.http.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
    assert {each.strip() for each in answer.headers["allow"].split(",")} - {"HEAD", "OPTIONS"} == allowed
