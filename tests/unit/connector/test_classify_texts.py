"""Texts in a verdict are bounded and printable: without control characters and lone surrogates."""

import json

import pytest

from connector.classify import classify
from connector.exchange import Exchange, NoReply, NotSent, Reply
from settlement.calls import Verdict
from settlement.reply_record import ReplyRecord
from settlement.states import Outcome

NASTY = "a\x00b\x1b[2Jc\r\nd\x7fe\x85f\u202eg\u2028h\ud800i"


def showable(verdict: Verdict) -> bool:
    """Tell whether every text of a verdict is bounded, printable and encodable."""
    reply = verdict.reply or ReplyRecord(code="")
    bounds = [(verdict.detail, 300), (reply.code, 64), (reply.biz_code, 64), (reply.msg, 200), (reply.msg_params, 200)]
    bounds += [(reply.trace, 128), (reply.data, 500)]
    texts = [(text, limit) for text, limit in bounds if text is not None]
    return all(len(text) <= limit and len(text.encode()) <= 3 * limit and text.isprintable() for text, limit in texts)


def read(**fields: object) -> ReplyRecord:
    """Return the audit's record of a reply with these fields."""
    verdict = classify(Reply(200, json.dumps({"code": "E1", **fields}, ensure_ascii=False).encode()))
    assert verdict.reply is not None
    assert showable(verdict)
    return verdict.reply


def test_long_code_and_message_are_cut() -> None:
    verdict = classify(Reply(200, json.dumps({"code": "E" * 5000, "msg": "m" * 5000}).encode()))
    assert verdict.outcome is Outcome.REJECTED
    assert verdict.reply == ReplyRecord(code="E" * 63 + "…", msg="m" * 199 + "…")
    assert showable(verdict)


def test_code_and_message_at_their_limits_are_kept_whole() -> None:
    assert read(code="E" * 64, msg="m" * 200) == ReplyRecord(code="E" * 64, msg="m" * 200)


@pytest.mark.parametrize("escaped", [True, False], ids=["escaped", "as bytes"])
def test_text_outside_ascii_is_kept(*, escaped: bool) -> None:
    text = "\u4f59\u989d\u4e0d\u8db3 \u00e9\U0001f600"
    verdict = classify(Reply(200, json.dumps({"code": "E1", "msg": text}, ensure_ascii=escaped).encode()))
    assert verdict.reply == ReplyRecord(code="E1", msg=text)


@pytest.mark.parametrize(
    "exchange",
    [
        Reply(200, json.dumps({"code": "E1", "msg": NASTY}).encode()),
        Reply(200, json.dumps({"code": NASTY}).encode()),
        Reply(200, json.dumps({"code": NASTY, "ok": True}).encode()),
        Reply(200, json.dumps({"code": 0, "msg": NASTY}).encode()),
        Reply(200, NASTY.encode(errors="surrogatepass") * 50),
        Reply(200, b"\xff\xfe" * 500),
        Reply(200, b"\\'\"" * 500),
        Reply(503, NASTY.encode(errors="surrogatepass")),
        NotSent(NASTY * 50),
        NoReply(deadline_passed=True, detail=NASTY * 50),
        NoReply(deadline_passed=False, detail=NASTY * 50),
    ],
    ids=[
        "msg", "code", "contradictory", "unreadable", "control bytes", "no UTF-8", "quotes", "status",
        "not sent", "deadline", "broken",
    ],
)  # fmt: skip
def test_nothing_unprintable_reaches_the_audit(exchange: Exchange) -> None:
    verdict = classify(exchange)
    assert showable(verdict)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_replaced_characters_are_visible() -> None:
    reply = classify(Reply(200, b'{"code":"E\\u0000","msg":"a\\u0007b"}')).reply
    assert reply == ReplyRecord(code="E\N{REPLACEMENT CHARACTER}", msg="a\N{REPLACEMENT CHARACTER}b")


def test_beginning_of_an_unreadable_reply_is_quoted() -> None:
    verdict = classify(Reply(200, b"<html>" + b"x" * 5000))
    assert verdict.detail.startswith("not JSON; begins '<html>xxx")
    assert len(verdict.detail) < 200


@pytest.mark.parametrize("code", ["US_0000001" + "\x00" * 60, "US_0000001" + " " * 60, "0" + "\x00" * 70])
def test_code_that_is_cut_never_becomes_another_code(code: str) -> None:
    verdict = classify(Reply(200, json.dumps({"code": code}).encode()))
    assert verdict.reply is not None
    assert verdict.reply.code not in {"0", "US_0000001", "US_0000002"}
