"""The audit keeps every field of table 4 within its limit, and marks truncated texts."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.classify import classify
from connector.exchange import REPLY_BYTES_MAX, Reply
from contract.operations import ExternalReply, Operation
from contract.strict_json import member_text
from settlement.calls import CALL_RECORD_BYTES_MAX, CallRecord, Rule
from settlement.ids import CancelKind
from settlement.reply_record import DATA_LENGTH_MAX, ReplyRecord, printable
from settlement.states import CancelResult
from workflows.runtime import DATA_CONVERTER

WHOLE = (
    b'{"bizCode":"PAY","code":"E17","msg":"no {0}","tm":12,"trace":"t-1","msgParams":"credit",'
    b'"data":{"limit": 12.50, "ids":[1]},"ok":false,"fail":true}'
)


def record_of(body: bytes) -> ReplyRecord:
    """Return the audit's record of a reply."""
    reply = classify(Reply(200, body)).reply
    assert reply is not None
    return reply


def test_every_field_of_table_4_is_recorded() -> None:
    reply = record_of(WHOLE)
    assert reply == ReplyRecord(
        biz_code="PAY",
        code="E17",
        msg="no {0}",
        tm=12,
        trace="t-1",
        msg_params="credit",
        data='{"limit": 12.50, "ids":[1]}',
        ok=False,
        fail=True,
    )
    assert reply.model_dump(by_alias=True).keys() == ExternalReply.model_fields.keys()


def test_the_reply_is_recorded_for_every_outcome() -> None:
    for body in (b'{"code":"0"}', b'{"code":"E1"}', b'{"code":"0","ok":false}', b'{"code":"0","trace":"theirs"}'):
        assert classify(Reply(200, body), "mine").reply is not None


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        ("null", None),
        ("{}", "{}"),
        ("[]", "[]"),
        ('""', '""'),
        ("12.50", "12.50"),
        ("1e400", "1e400"),
        ("-0.0", "-0.0"),
        ("true", "true"),
        ('{"a":"\\u0041\\n"}', '{"a":"\\u0041\\n"}'),
        ('{\n\t"a": 1,\r\n\t"b": [ ]\n}', '{ "a": 1, "b": [ ] }'),
        ('"…"', '"…"'),
    ],
)
def test_data_is_recorded_as_its_json_text(data: str, kept: str | None) -> None:
    """An amount in it must not be changed by a conversion to float."""
    for body in (f'{{"data":{data},"code":"0"}}', f'\ufeff {{ "code" : "0" , "data" : {data} }}\n'):
        assert record_of(body.encode()).data == kept


def test_truncated_data_ends_with_a_mark() -> None:
    fits = '"' + "x" * (DATA_LENGTH_MAX - 2) + '"'
    assert record_of(f'{{"code":"0","data":{fits}}}'.encode()).data == fits
    cut = record_of(f'{{"code":"0","data":"{"x" * DATA_LENGTH_MAX}"}}'.encode()).data
    assert cut == '"' + "x" * (DATA_LENGTH_MAX - 2) + "…"
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(cut)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(st.dictionaries(st.text(max_size=4), json_values, max_size=5), st.sampled_from([None, 1]), st.booleans())
def test_a_member_is_found_in_any_object(members: dict[str, object], indent: int | None, ascii_only: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
    whole = json.dumps(members, indent=indent, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    try:
        whole.decode()
    except UnicodeDecodeError:
        return
    for name, value in members.items():
        text = member_text(whole, name)
        assert text is not None
        assert json.loads(text) == value
    assert member_text(whole, "a name that is not there") is None


@given(st.text(max_size=30), st.integers(1, 12))
def test_text_is_bounded_printable_and_marked_if_truncated(text: str, length_max: int) -> None:
    kept = printable(text, length_max)
    assert len(kept) <= length_max
    assert len(kept.encode()) <= 3 * length_max
    assert kept.isprintable()
    if not kept.endswith("…"):
        assert len(kept) == len(text)


@pytest.mark.parametrize("character", ['"', "\\", "x", "\u00e9", "\u4f59", "\U0001f9fe", "\x00", "\ud800"])
def test_no_record_is_larger_than_its_stated_maximum(character: str) -> None:
    """As JSON in UTF-8, by the same converter that writes histories."""
    long = character * (REPLY_BYTES_MAX // 100)
    fields = dict.fromkeys(("bizCode", "code", "msg", "trace", "msgParams", "data"), long)
    whole = {**fields, "tm": -(2**63), "ok": True, "fail": True}
    body = json.dumps(whole, ensure_ascii=character == "\ud800").encode()
    verdict = classify(Reply(200, body)).model_copy(update={"detail": printable(long, 300)})
    assert verdict.rule is Rule.CONTRADICTORY
    record = CallRecord(
        operation=Operation.CANCEL_OPERATION,
        kind=CancelKind.CONFIRMING,
        request_unique_no="\U0001f9fe" * 48,
        round=2**31,
        attempt=2**31,
        sent_at=datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=UTC),
        duration_ms=2**31,
        verdict=verdict,
        cancel_result=CancelResult.NEVER_RECEIVED,
    )
    [payload] = DATA_CONVERTER.payload_converter.to_payloads([record])
    assert len(payload.data) <= CALL_RECORD_BYTES_MAX
