"""What is no JSON object is refused as what it is: a 4xx problem, never a 500, and nothing is accepted."""

import json
from typing import Any

import httpx2
import pytest

from api.http.strict_body import StrictJsonRoute
from tests.api.doors import SETTLEMENTS, Door
from tests.api.refusals import FIELDS
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
"""The amount that stands before the valid one, and how the body is encoded."""
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


async def refused(door: Door, answer: httpx2.Response, code: str, field: str | None = None) -> None:
    """Check a refusal; the door itself checks that it is a well-formed problem."""
    assert answer.json()["code"] == code
    assert 400 <= answer.status_code < 500
    assert [each["field"] for each in answer.json().get("errors", [])] == ([field] if field else [])
    assert await door.recorded() == []


@pytest.mark.parametrize("content", NOT_JSON.values(), ids=NOT_JSON)
async def test_body_that_is_not_json_is_malformed(closed_door: Door, content: bytes) -> None:
    await refused(closed_door, await closed_door.post_raw(content), "malformed-request")


@pytest.mark.parametrize("name", ["amount", "requestUniqueNo"])
async def test_field_that_stands_twice_is_malformed(closed_door: Door, name: str) -> None:
    """Which of two amounts would be meant, nobody can say; the external system's replies are read the same way."""
    content = json.dumps(order()).encode().replace(b"{", b'{"' + name.encode() + b'": "99.00", ', 1)
    await refused(closed_door, await closed_door.post_raw(content), "malformed-request")


@pytest.mark.parametrize(("first", "encoding"), TWICE.values(), ids=TWICE)
async def test_amount_that_stands_twice_is_never_accepted(closed_door: Door, first: str, encoding: str) -> None:
    """However the body is written, the parser that looks for repeats must not give up before the one that reads it."""
    content = json.dumps(order()).replace("{", f'{{"amount": {first}, ', 1)
    await refused(closed_door, await closed_door.post_raw(content.encode(encoding)), "malformed-request")


async def test_amount_that_stands_twice_in_broken_utf8_is_never_accepted(closed_door: Door) -> None:
    content = json.dumps(order()).encode().replace(b"{", b'{"amount": "\xed\xa0\x80", ', 1)
    await refused(closed_door, await closed_door.post_raw(content), "malformed-request")


@pytest.mark.parametrize("content", NO_OBJECT.values(), ids=NO_OBJECT)
async def test_body_that_is_no_object_is_named(closed_door: Door, content: bytes) -> None:
    await refused(closed_door, await closed_door.post_raw(content), "validation-failed", "body")


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
async def test_body_of_another_type_is_refused_though_it_would_be_valid(closed_door: Door, content_type: str) -> None:
    answer = await closed_door.post_raw(json.dumps(order()).encode(), **{"content-type": content_type})
    await refused(closed_door, answer, "unsupported-media-type")


async def test_body_of_no_type_is_refused_though_it_would_be_valid(closed_door: Door) -> None:
    answer = await closed_door.http.post(SETTLEMENTS, content=json.dumps(order()).encode())
    await refused(closed_door, answer, "unsupported-media-type")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/x+json"])
async def test_json_is_json_however_its_type_is_written(closed_door: Door, content_type: str) -> None:
    body = order()
    await closed_door.post_raw(json.dumps(body).encode(), **{"content-type": content_type})
    assert await closed_door.recorded() == [body["requestUniqueNo"]]


async def test_body_is_parsed_once(closed_door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was looked at for repeated names is what is accepted: there is no second reading that could differ."""
    body = order()
    content = json.dumps(body).encode()
    parsed: list[str | bytes] = []
    loads = json.loads

    def recorded(text: str | bytes, **options: Any) -> object:  # noqa: ANN401 - passed on as they are
        parsed.append(text)
        return loads(text, **options)

    monkeypatch.setattr(json, "loads", recorded)
    await closed_door.post_raw(content)
    assert [text for text in parsed if text in {content, content.decode()}] == [content.decode()]
    assert await closed_door.recorded() == [body["requestUniqueNo"]]


def test_every_operation_with_a_body_reads_it_strictly(closed_door: Door) -> None:
    with_body = [route for route in closed_door.app.state.endpoints if getattr(route, "body_field", None)]
    assert [route.path for route in with_body if not isinstance(route, StrictJsonRoute)] == []
    assert len(with_body) >= 7


@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize("value", ["\ud800", "a\udfffb", '"\udc00"'])
async def test_lone_surrogate_is_refused_at_its_field(closed_door: Door, field: str, value: str) -> None:
    """JSON can write it, but no UTF-8, no database and no wire could carry it on."""
    content = json.dumps(order() | {field: value}).encode()
    await refused(closed_door, await closed_door.post_raw(content), "validation-failed", field)


async def test_surrogate_written_as_bytes_is_malformed(closed_door: Door) -> None:
    """Python's JSON reader lets those bytes pass, though they are no UTF-8."""
    content = json.dumps(order(userName="BYTES")).encode().replace(b"BYTES", b"\xed\xa0\x80")
    await refused(closed_door, await closed_door.post_raw(content), "malformed-request")


@pytest.mark.parametrize("name", ["\ud800", "amount\udfff", "\x00", "\u202e", "\U0001f600"])
async def test_strange_field_name_is_refused(closed_door: Door, name: str) -> None:
    """A name that cannot be repeated in an answer is an error at the body as a whole."""
    answer = await closed_door.post_raw(json.dumps({**order(), name: 1}).encode())
    can_be_repeated = name.encode(errors="ignore").decode() == name
    await refused(closed_door, answer, "validation-failed", name if can_be_repeated else "body")


@pytest.mark.parametrize("field", [*INTEGERS, "amount"])
@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e400", "1E2", "9" * 4000, "-" + "9" * 4000])
async def test_number_that_is_none_is_refused_at_its_field(closed_door: Door, field: str, token: str) -> None:
    """Python reads NaN and infinities out of a JSON body, and integers of thousands of digits."""
    content = json.dumps(order() | {field: "TOKEN"}).replace('"TOKEN"', token)
    await refused(closed_door, await closed_door.post_raw(content.encode()), "validation-failed", field)


@pytest.mark.parametrize("depth", [100, 900, 990])
@pytest.mark.parametrize("field", ["metadata", "amount", "bizType", "extra"])
async def test_deep_value_is_refused(closed_door: Door, field: str, depth: int) -> None:
    """Just below Python's own limit the body can be read, and then is refused like any other."""
    content = json.dumps(order() | {field: "DEEP"}).replace('"DEEP"', "[" * depth + "]" * depth)
    answer = await closed_door.post_raw(content.encode())
    assert answer.status_code in {400, 422}
    assert await closed_door.recorded() == []


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/settlements", "/v1/settlement", "/v1/settlements/a/b"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_unknown_route_is_a_problem(closed_door: Door, method: str, path: str) -> None:
    answer = await closed_door.http.request(method, path)
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
async def test_wrong_method_is_told_all_that_are_allowed(
    closed_door: Door, method: str, path: str, allowed: set[str]
) -> None:
    """RFC 9110, 15.5.6: Allow lists the methods that the resource supports."""
    answer = await closed_door.http.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
    assert {each.strip() for each in answer.headers["allow"].split(",")} - {"HEAD", "OPTIONS"} == allowed
