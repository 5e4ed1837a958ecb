"""Replies are read leniently, so that one fault does not fail every requirement."""

import gzip
import json
import zlib
from dataclasses import replace

import pytest

from conformance.reading import Answer, read
from tests.support.conformance_reports import exchange, http_reply, lost


def answer_of(received: bytes) -> Answer:
    """Read the bytes of a complete reply."""
    return read(replace(exchange(), received=received, failure=None))


def encoded(body: bytes, encoding: str) -> bytes:
    """Return a reply with a content encoding."""
    return f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


OK = b'{"code":"0"}'


@pytest.mark.parametrize(
    ("received", "code"),
    [
        (http_reply(OK), "0"),
        (http_reply(b'{"code":0}'), "0"),
        (http_reply(b"\xef\xbb\xbf" + OK), "0"),
        (http_reply(b'{"code":"1","code":"0","tm":NaN}'), "0"),
        (http_reply(b'{"code":"0","msg":"\xff"}'), "0"),
        (http_reply(b'{"code":"E7"}', 409), "E7"),
        (http_reply(b'{"code":"E7"}', 500), "E7"),
        (encoded(gzip.compress(OK, mtime=0), "gzip"), "0"),
        (encoded(zlib.compress(OK), "deflate"), "0"),
        (encoded(OK, "gzip"), "0"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n" + OK + b"\r\n0\r\n\r\n", "0"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + OK, "0"),
    ],
)
def test_code_is_read(received: bytes, code: str) -> None:
    answer = answer_of(received)
    assert (answer.code, answer.is_success, answer.is_refusal) == (code, code == "0", code != "0")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "the body is empty"),
        (b"<html>", "the body is not JSON: '<html>'"),
        (b"[" * 100_000, "the body is not JSON: '[[["),
        (b"[]", "the body is not a JSON object: '[]'"),
        (b'{"ok":true}', "the reply has no code: "),
        (b'{"code":true}', "the reply has no code: "),
        (b'{"code":null}', "the reply has no code: "),
        (b'{"code":0.0}', "the reply has no code: "),
    ],
)
def test_problem_says_why_there_is_no_code(body: bytes, problem: str) -> None:
    answer = answer_of(http_reply(body))
    assert (answer.code, answer.is_success, answer.is_refusal) == (None, False, False)
    assert str(answer).startswith(f"HTTP 200, {problem}")
    assert len(str(answer)) < 300


@pytest.mark.parametrize(("status", "is_refusal"), [(200, False), (399, False), (400, True), (499, True), (500, False)])
def test_status_of_the_class_400_is_a_refusal_without_a_code(status: int, is_refusal: bool) -> None:  # noqa: FBT001 - a row
    assert answer_of(http_reply(b"no", status)).is_refusal is is_refusal


def test_no_reply_is_neither_success_nor_refusal() -> None:
    answer = read(lost("an adjust"))
    assert (answer.http, answer.code, answer.is_success, answer.is_refusal) == (None, None, False, False)
    assert str(answer) == "no reply within 10 s"


def test_text_from_outside_cannot_control_a_terminal() -> None:
    hostile = {"code": "E\x1b[2J", "msg": "\u202e\x9b\n" + "x" * 10_000}
    shown = str(answer_of(http_reply(json.dumps(hostile, ensure_ascii=False).encode(), 409)))
    assert shown.isprintable()
    assert shown.startswith("HTTP 409, code 'E\\x1b[2J' (msg '\\u202e\\x9b\\nxxx")
    assert len(shown) < 300


def test_compressed_body_is_read_up_to_a_limit() -> None:
    """One MiB of gzip can contain a GiB."""
    answer = answer_of(encoded(gzip.compress(b'{"code":"0","msg":"' + b" " * 4_000_000 + b'"}'), "gzip"))
    assert (answer.code, "not JSON" in answer.problem) == (None, True)
