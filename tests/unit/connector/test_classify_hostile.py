"""Bodies of the largest size that attack a JSON parser: one outcome, no exception, time proportional to the size."""

import codecs
import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.classify import classify
from connector.exchange import REPLY_BYTES_MAX, Reply
from settlement.calls import Rule
from settlement.states import Outcome
from tests.unit.connector.second_reading import check

SUCCESS = '{"code":"0","msg":"r\u00e9gl\u00e9","ok":true,"fail":false}'
TIMES_PLAIN_MAX = 50
"""Maximum ratio to the time for a plain body of that size; the largest ratio measured is 5."""


def filled(begin: bytes, again: bytes, end: bytes, close: bytes = b"") -> bytes:
    """Return a body of about the largest size: `begin`, `again` repeated, and `end`."""
    times = (REPLY_BYTES_MAX - len(begin) - len(end)) // (len(again) + len(close))
    return begin + again * times + close * times + end


DATA = b'{"code":"0","data":{"a":'
PLAIN = filled(b'{"code":"0","data":{"rows":[0', b',{"id":12345,"name":"customer","amount":"12.50"}', b"]}}")
WHOLE: dict[str, bytes] = {
    "numbers": filled(DATA + b"[0", b",0", b"]}}"),
    "empty objects": filled(DATA + b"[{}", b",{}", b"]}}"),
    "empty lists": filled(DATA + b"[[]", b",[]", b"]}}"),
    "objects": filled(DATA + b'[{"a":{}}', b',{"a":{}}', b"]}}"),
    "integers of 4300 digits": filled(DATA + b"[0", b"," + b"9" * 4300, b"]}}"),
    "integers of 300 digits": filled(DATA + b"[0", b"," + b"9" * 300, b"]}}"),
    "a fraction of 64 KiB": filled(DATA + b"0.", b"9", b"}}"),
    "an exponent of 64 KiB": filled(DATA + b"1e", b"9", b"}}"),
    "infinite floats": filled(DATA + b"[0", b",1e400", b"]}}"),
    "nothing but names": b'{"code":"0","data":{' + b",".join(b'"%d":0' % name for name in range(6500)) + b"}}",
    "escaped letters": filled(b'{"code":"0","msg":"', b"\\u0041", b'"}'),
    "lone surrogates": filled(b'{"code":"0","msg":"', b"\\ud800", b'"}'),
    "lone surrogates in names": filled(b'{"code":"0","data":{"', b"\\udfff", b'":1}}'),
    "pairs of surrogates": filled(b'{"code":"0","msg":"', b"\\ud83d\\ude00", b'"}'),
    "escaped NULs": filled(b'{"code":"0","msg":"', b"\\u0000", b'"}'),
    "control characters to clean": filled(b'{"code":"E1","msg":"', b"\\u001b", b'"}'),
    "a long code": filled(b'{"code":"', b"\\u202e", b'"}'),
    "UTF-8 with a mark": codecs.BOM_UTF8 + SUCCESS.encode(),
    "a list for data": filled(b'{"code":"0","data":[0', b",0", b"]}"),
    "a text for data": filled(b'{"code":"0","data":"', b"\\\\", b'"}'),
    "a number for data": b'{"code":"0","data":' + b"9" * 4300 + b"}",
    "blanks before a mark": filled(b"", b"\n", codecs.BOM_UTF8 + SUCCESS.encode()),
    "blanks": filled(b'{"code":"0"', b" ", b"}"),
}
"""Complete replies, whatever their outcome."""
UNREADABLE: dict[str, bytes] = {
    "open lists": filled(DATA, b"[", b""),
    "closed lists": filled(DATA, b"[", b"}}", b"]"),
    "open objects": filled(DATA, b'{"a":', b""),
    "closed objects": filled(DATA + b"", b'{"a":', b"}}", b"}"),
    "lists and objects in turn": filled(DATA, b'[{"a":', b""),
    "deep under an unknown name": filled(b'{"code":"0","x":', b"[", b"}", b"]"),
    "an integer of 64 KiB": filled(DATA, b"9", b"}}"),
    "a negative integer of 64 KiB": filled(DATA + b"-", b"9", b"}}"),
    "zeros in front": filled(DATA, b"0", b"}}"),
    "a list for a code": filled(b'{"code":[0', b",0", b"]}"),
    "a fraction for a time": filled(b'{"code":"0","tm":0.', b"9", b"}"),
    "an open text": filled(b'{"code":"0","msg":"', b"\\\\", b""),
    "an open escape": filled(b'{"code":"0","msg":"', b"x", b"\\u12"),
    "digits of another script": '{"code":"0","tm":\u0661\u0662}'.encode(),
    "a sign in front": b'{"code":"0","tm":+1}',
    "NUL": b"\x00" * REPLY_BYTES_MAX,
    "NUL between": SUCCESS.replace(",", ",\x00").encode(),
    "no text at all": b"\xff" * REPLY_BYTES_MAX,
    "UTF-16": SUCCESS.encode("utf-16"),
    "UTF-16, little end": SUCCESS.encode("utf-16-le"),
    "UTF-16, big end": SUCCESS.encode("utf-16-be"),
    "UTF-16 with the other mark": codecs.BOM_UTF16_BE + SUCCESS.encode("utf-16-be"),
    "UTF-32": SUCCESS.encode("utf-32"),
    "UTF-32, little end": SUCCESS.encode("utf-32-le"),
    "UTF-32, big end": SUCCESS.encode("utf-32-be"),
    "UTF-8 with two marks": codecs.BOM_UTF8 * 2 + SUCCESS.encode(),
    "nothing but marks": filled(b"", codecs.BOM_UTF8, b""),
    "marks before the end": filled(SUCCESS.encode(), codecs.BOM_UTF8, b""),
    "Latin-1": SUCCESS.encode("latin-1"),
    "code page 437": SUCCESS.encode("cp437"),
    "EBCDIC": SUCCESS.encode("cp500"),
    "overlong quote": SUCCESS.encode().replace(b'"', b"\xc0\xa2", 1),
    "overlong NUL": b'{"code":"0","msg":"\xc0\x80"}',
    "UTF-8 of five bytes": b'{"code":"0","msg":"\xf8\x88\x80\x80\x80"}',
    "beyond Unicode": b'{"code":"0","msg":"\xf4\x90\x80\x80"}',
    "a pair of surrogates in UTF-8": b'{"code":"0","msg":"\xed\xa0\xbd\xed\xb8\x80"}',
    "cut in a letter": b'{"code":"0","msg":"\xe2\x82',
}
TWICE: dict[str, bytes] = {
    f"{depth} deep": b'{"code":"0","data":' + b'{"a":' * depth + b'{"b":1,"b":1}' + b"}" * depth + b"}"
    for depth in (0, 1, 10, 100, 500)
} | {
    "in a list": b'{"code":"0","data":{"a":[[[{"b":1,"b":2}]]]}}',
    "under an unknown name": b'{"code":"0","x":[{"b":1,"b":2}]}',
    "spelled with surrogates": b'{"code":"0","data":{"\\ud83d\\ude00":1,"\xf0\x9f\x98\x80":2}}',
    "a lone surrogate": b'{"code":"0","data":{"\\ud800":1,"\\ud800":2}}',
    "the empty name": b'{"code":"0","data":{"":1,"":2}}',
    "thousands of times": filled(b'{"code":"0"', b',"code":"0"', b"}"),
    "a null beside it": b'{"code":"0","ok":null,"ok":true}',
}


@pytest.mark.parametrize("body", WHOLE.values(), ids=WHOLE)
def test_largest_reply_has_the_outcome_of_the_contract(body: bytes) -> None:
    assert len(body) <= REPLY_BYTES_MAX
    check(200, body)


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_body_that_is_not_a_reply_is_unknown(body: bytes) -> None:
    verdict = classify(Reply(200, body[:REPLY_BYTES_MAX]))
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.UNREADABLE)
    assert json.dumps(verdict.model_dump(mode="json")).isascii()


@pytest.mark.parametrize("body", TWICE.values(), ids=TWICE)
def test_repeated_name_at_any_depth_is_contradictory(body: bytes) -> None:
    verdict = classify(Reply(200, body))
    assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.CONTRADICTORY)


@pytest.mark.parametrize(
    "code", ["\u0660", "\u06f0", "\u0966", "\uff10", "\U0001d7d8", "\u2070", "\u3007", "0\u200b", "\u202e0"]
)
def test_zero_of_another_script_is_not_success(code: str) -> None:
    """They look like the code 0, and int() accepts some of them."""
    assert classify(Reply(200, json.dumps({"code": code}).encode())).outcome is Outcome.REJECTED
    assert classify(Reply(200, json.dumps({"code": code}, ensure_ascii=False).encode())).outcome is Outcome.REJECTED


SCRAPS = (
    *(b"{", b"}", b"[" * 900, b"]" * 900, b'"', b":", b",", b'"code":"0"', b'"code"', b'"0"', b"0", b"9" * 4301),
    *(b"1e999", b"\\ud800", b"\\u0000", b"\xff", b"\xed\xa0\x80", b"\x00", b"NaN", b"-Infinity", b"null", b"true"),
    codecs.BOM_UTF8,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(SCRAPS), max_size=20).map(b"".join))
def test_fragments_of_json_have_exactly_one_outcome(body: bytes) -> None:
    check(200, body)
    check(200, b'{"code":"0","data":' + body + b"}")


def test_work_is_bounded_by_the_size() -> None:
    """Compared with a plain body in the same run, each by its fastest run, so that a busy machine does not matter."""
    plain_s = cost_s(lambda: classify(Reply(200, PLAIN)))
    costs = {
        name: cost_s(lambda body=body: classify(Reply(200, body[:REPLY_BYTES_MAX]))) / plain_s  # type: ignore[misc] # mypy infers no type for the default
        for name, body in (WHOLE | UNREADABLE | TWICE).items()
    }
    assert {name: times for name, times in costs.items() if times > TIMES_PLAIN_MAX} == {}


def cost_s(work: Callable[[], object]) -> float:
    """Return the CPU time of one run, the smallest of five."""
    costs = []
    for _ in range(5):
        begun = time.process_time_ns()
        work()
        costs.append(time.process_time_ns() - begun)
    return max(min(costs), 1_000) / 1e9
