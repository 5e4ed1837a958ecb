"""Unusual replies with HTTP 200: whatever is not exactly a reply of table 4 is UNKNOWN."""

import codecs
import json
import sys

import pytest

from connector.classify import classify
from connector.exchange import Reply
from settlement.calls import Rule
from settlement.states import Outcome

SUCCESS = '{"code":"0","ok":true,"fail":false}'
DEPTH = 100_000

UNREADABLE: dict[str, bytes] = {
    "empty": b"",
    "spaces": b" \r\n",
    "null": b"null",
    "list": b'[{"code":"0"}]',
    "text": b'"0"',
    "number": b"0",
    "true": b"true",
    "empty object": b"{}",
    "no code": b'{"ok":true,"fail":false,"msg":"done"}',
    "code under another case": b'{"Code":"0"}',
    "code deeper down": b'{"data":{"code":"0"}}',
    "HTML": b"<!doctype html><title>200 OK</title>",
    "XML": b'<?xml version="1.0"?><code>0</code>',
    "form": b"code=0&ok=true",
    "cut": b'{"code":"0","ok":tr',
    "more after it": b'{"code":"0"}{"code":"0"}',
    "comment": b'{"code":"0"} // done',
    "single quotes": b"{'code':'0'}",
    "bare names": b'{code:"0"}',
    "trailing comma": b'{"code":"0",}',
    "JSONP": b'done({"code":"0"})',
    "anti-hijacking prefix": b')]}\'\n{"code":"0"}',
    "two byte order marks": codecs.BOM_UTF8 * 2 + SUCCESS.encode(),
    "byte order mark behind it": SUCCESS.encode() + codecs.BOM_UTF8,
    "byte order mark within it": SUCCESS.replace(":", ":\ufeff", 1).encode(),
    "byte order mark alone": codecs.BOM_UTF8,
    "half a byte order mark": codecs.BOM_UTF8[:2] + SUCCESS.encode(),
    "byte order mark of UTF-16": codecs.BOM_UTF16_LE + SUCCESS.encode(),
    "byte order mark, then UTF-16": codecs.BOM_UTF8 + SUCCESS.encode("utf-16-le"),
    "byte order mark, then Latin-1": codecs.BOM_UTF8 + '{"code":"0","msg":"r\u00e9gl\u00e9"}'.encode("latin-1"),
    "escaped byte order mark": b"\\ufeff" + SUCCESS.encode(),
    "UTF-16": SUCCESS.encode("utf-16"),
    "UTF-16 without a mark": SUCCESS.encode("utf-16-le"),
    "UTF-32": SUCCESS.encode("utf-32"),
    "Latin-1": '{"code":"0","msg":"r\u00e9glé"}'.encode("latin-1"),
    "overlong UTF-8": b'{"code":"\xc0\xb0"}',
    "surrogate in UTF-8": b'{"code":"0","msg":"\xed\xa0\x80"}',
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "NUL at the end": b'{"code":"0"}\x00',
    "raw control character": b'{"code":"0","msg":"a\x01b"}',
    "raw newline in a text": b'{"code":"0","msg":"a\nb"}',
    "NaN": b'{"code":"0","data":{"rate":NaN}}',
    "infinity": b'{"code":"0","extra":Infinity}',
    "minus infinity": b'{"code":"0","extra":-Infinity}',
    "leading zeros": b'{"code":"0","tm":007}',
    "open brackets, 100k deep": b"[" * DEPTH,
    "lists, 100k deep": b"[" * DEPTH + b"]" * DEPTH,
    "objects, 100k deep": b'{"code":"0","data":' + b'{"a":' * DEPTH + b"0" + b"}" * DEPTH + b"}",
    "number of 5000 digits": b'{"code":"0","tm":' + b"1" * 5000 + b"}",
    "number of 5000 digits elsewhere": b'{"code":"0","extra":' + b"1" * 5000 + b"}",
}

WRONG_TYPES = {
    "code": ["0", "1", "null", "true", "false", "[]", "{}", '["0"]', "0.0"],
    "ok": ["1", "0", '"true"', '"false"', '""', "[]", "{}"],
    "fail": ["1", "0", '"true"', '"false"', '""', "[]", "{}"],
    "msg": ["1", "true", "[]", "{}"],
    "bizCode": ["1", "true", "[]"],
    "trace": ["1", "false", "{}"],
    "msgParams": ["1", '["a"]', "{}"],
    "tm": ['"12"', "1.0", "1.5", "1e3", "true", "[]"],
}
TYPES = [
    pytest.param(field, text, code, id=f"{field}: {text}, code {code}")
    for field, texts in WRONG_TYPES.items()
    for text in texts
    for code in (("0",) if field == "code" else ("0", "E1"))
]

TWICE = {
    "code": b'{"code":"0","code":"1"}',
    "the same code": b'{"code":"0","code":"0"}',
    "failure, then success": b'{"code":"E1","ok":true,"code":"0"}',
    "ok": b'{"code":"0","ok":true,"ok":false}',
    "an unknown field": b'{"code":"0","x":1,"x":2}',
    "inside data": b'{"code":"0","data":{"a":1,"a":2}}',
    "inside a list of data": b'{"code":"0","data":[{"a":1,"a":1}]}',
    "data": b'{"code":"0","data":[],"data":{}}',
    "behind a byte order mark": codecs.BOM_UTF8 + b'{"code":"0","code":"1"}',
    "escaped spelling": b'{"code":"0","\\u0063ode":"1"}',
}

TOLERATED = {
    "extra fields": b'{"code":"0","success":false,"status":"error","error":{"code":"9"}}',
    "all absent fields null": b'{"code":"0","bizCode":null,"msg":null,"tm":null,"trace":null,"msgParams":null,'
    b'"data":null,"ok":null,"fail":null}',
    "spaces around": b' \t\r\n{ "code" : "0" }\n',
    "byte order mark": SUCCESS.encode("utf-8-sig"),
    "byte order mark, then spaces": codecs.BOM_UTF8 + b" \r\n" + SUCCESS.encode(),
    "spaces, then a byte order mark": b"\r\n " + codecs.BOM_UTF8 + SUCCESS.encode() + b"\n",
    "form feeds around": b"\x0c\x0b" + SUCCESS.encode() + b"\x0b\x0c",
    "escaped code": b'{"\\u0063ode":"\\u0030"}',
    "failure inside data": b'{"code":"0","data":{"ok":false,"code":"E1"}}',
    "negative time": b'{"code":"0","tm":-1}',
    "lone surrogate in msg": b'{"code":"0","msg":"\\ud800"}',
}

DATA = ["null", "{}", "[]", '""', '"text"', "0", "-1.50", "1e400", "true", "false", '[{"a":1},null]', "9" * 30]


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_body_that_is_not_a_reply_of_table_4_is_unknown(body: bytes) -> None:
    verdict = classify(Reply(200, body))
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.UNREADABLE)
    assert (verdict.http_status, verdict.reply) == (200, None)


@pytest.mark.parametrize(("field", "text", "code"), TYPES)
def test_wrong_type_is_unknown_and_named(field: str, text: str, code: str) -> None:
    """The number 0 is not the code "0", and "true" is not true."""
    others = "" if field == "code" else f'"code":"{code}",'
    verdict = classify(Reply(200, f'{{{others}"{field}":{text}}}'.encode()))
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.UNREADABLE)
    assert verdict.detail.startswith(f"not a reply of table 4: {field};")


@pytest.mark.parametrize("body", TWICE.values(), ids=TWICE)
def test_repeated_field_is_contradictory(body: bytes) -> None:
    """Parsers differ in which value they use, so the meaning is ambiguous."""
    verdict = classify(Reply(200, body))
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.CONTRADICTORY)


@pytest.mark.parametrize("code", ["0", "E1"])
@pytest.mark.parametrize("data", DATA)
def test_data_may_have_any_type(data: str, code: str) -> None:
    """The outcome does not depend on it."""
    outcome = Outcome.APPLIED if code == "0" else Outcome.REJECTED
    assert classify(Reply(200, f'{{"code":"{code}","data":{data}}}'.encode())).outcome is outcome


@pytest.mark.parametrize("body", TOLERATED.values(), ids=TOLERATED)
def test_variations_that_table_4_allows_are_applied(body: bytes) -> None:
    assert classify(Reply(200, body)).outcome is Outcome.APPLIED


@pytest.mark.parametrize(
    "code", ["", "00", "0.0", " 0", "0 ", "-0", "+0", "\uff10", "\u0660", "0\u0000", "O", "\ud800"]
)
def test_code_that_only_looks_like_success_is_rejected(code: str) -> None:
    body = json.dumps({"code": code}).encode()
    assert classify(Reply(200, body)).outcome is Outcome.REJECTED


@pytest.mark.parametrize("tm", [2**63, -(2**63) - 1, 10**4000], ids=["above int64", "below int64", "4000 digits"])
def test_tm_beyond_int64_is_not_a_reply_of_table_4(tm: int) -> None:
    verdict = classify(Reply(200, f'{{"code":"0","tm":{tm}}}'.encode()))
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.UNREADABLE)


@pytest.mark.parametrize("tm", [2**63 - 1, -(2**63), 0], ids=["max", "min", "zero"])
def test_tm_within_int64_is_accepted(tm: int) -> None:
    assert classify(Reply(200, f'{{"code":"0","tm":{tm}}}'.encode())).outcome is Outcome.APPLIED


def test_verdict_does_not_depend_on_the_depth_of_the_call_stack() -> None:
    """Near the recursion limit a deeply nested reply may become UNKNOWN; it must not raise."""

    def deeper(levels: int) -> Outcome:
        return deeper(levels - 1) if levels else classify(Reply(200, deep)).outcome

    deep = b'{"code":"0","data":{"a":' + b"[" * 500 + b"]" * 500 + b"}}"
    assert deeper(0) is Outcome.APPLIED
    assert deeper(sys.getrecursionlimit() - 300) in {Outcome.APPLIED, Outcome.UNKNOWN}
