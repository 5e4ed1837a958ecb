"""The broker's message for a rejection: filled in if the form of its placeholders is clear, else unchanged."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.operations import Operation
from schemas.settlement import TEXT_LENGTH_MAX, BrokerMessage, broker_message, filled_in, split_params
from settlement.calls import CallRecord, Rule, Verdict
from settlement.ids import CancelKind
from settlement.reply_record import ReplyRecord
from settlement.states import Outcome

AT = datetime(2026, 1, 5, tzinfo=UTC)

FILLED: dict[str, tuple[str, str, str]] = {
    "one, numbered": ("no credit: {0}", "12.50", "no credit: 12.50"),
    "numbered": ("{0} of {1}", "1,2", "1 of 2"),
    "numbered, another order": ("{1} of {0}", "1,2", "2 of 1"),
    "numbered, one twice": ("{0}: {1}, {0}", "a,b", "a: b, a"),
    "numbered, above nine": (
        " ".join(f"{{{n}}}" for n in range(12)),
        ",".join("abcdefghijkl"),
        "a b c d e f g h i j k l",
    ),
    "in order": ("{} of {}", "1,2", "1 of 2"),
    "side by side": ("{}{}", "1,2", "12"),
    "percent": ("%s of %s", "1,2", "1 of 2"),
    "percent before letters": ("%sUSD", "12.50", "12.50USD"),
    "a percentage beside it": ("5% of %s, 10%.", "1", "5% of 1, 10%."),
    "a percentage beside numbers": ("{0} rose 5% today", "USD", "USD rose 5% today"),
    "Chinese": ("余额不足\uff1a{0}\uff0c需要{1}元", "12.50,20", "余额不足\uff1a12.50\uff0c需要20元"),
    "an empty value": ("{0}-{1}-{2}", "a,,c", "a--c"),
    "empty values only": ("{0}|{1}", ",", "|"),
    "spaces stay": ("{0}|{1}", " a , b ", " a | b "),
    "a value like a placeholder": ("{0} {1}", "{1},{0}", "{1} {0}"),
    "a value like a placeholder in turn": ("{} {}", "{},%s", "{} %s"),
    "a value with a backslash": ("{0}", r"\1\g<0>", r"\1\g<0>"),
}
UNCHANGED: dict[str, tuple[str, str | None]] = {
    "no placeholder": ("no credit", None),
    "no placeholder, values": ("no credit", "1,2"),
    "no values": ("no credit: {0}", None),
    "empty values": ("no credit: {0}", ""),
    "fewer values": ("{0} of {1}", "1"),
    "more values: perhaps a comma within one": ("no credit: {0}", "12,50"),
    "more values in turn": ("{} of {}", "1,2,3"),
    "fewer values in turn": ("{} of {}", "1"),
    "more values, percent": ("%s", "1,2"),
    "a value never named": ("{0} {2}", "a,b,c"),
    "counted from one": ("{1} of {2}", "1,2"),
    "numbered and in turn": ("{0} {}", "1,2"),
    "numbered and percent": ("{0} %s", "1,2"),
    "in turn and percent": ("{} %s", "1,2"),
    "doubled braces": ("{{0}}", "1"),
    "doubled braces beside": ("{0} {{x}}", "1"),
    "doubled braces in turn": ("{{}}", "1"),
    "backslash": (r"\{0\} {0}", "1"),
    "quotes of MessageFormat": ("'{0}'", "1"),
    "template of a shell": ("${0}", "1"),
    "doubled percent": ("100%% of %s", "1"),
    "doubled percent s": ("%%s", "1"),
    "named": ("{amount}", "1"),
    "named beside numbered": ("{0} {amount}", "1"),
    "with a format": ("{0,number}", "1"),
    "with a colon": ("{0:.2f}", "1"),
    "leading zero": ("{00}", "1"),
    "negative": ("{-1}", "1"),
    "far too high": ("{100}", "1"),
    "digits of another script": ("{\u0660}", "1"),
    "blanks within": ("{ 0 }", "1"),
    "an open brace beside": ("{ {0}", "1"),
    "a closing brace beside": ("{0} }", "1"),
    "a number beside": ("%s of %d", "1,2"),
    "a position": ("%1$s", "1"),
    "a width": ("%5s", "1"),
    "a position beside": ("%s %2$s", "1,2"),
    "a fraction beside": ("%s %.2f", "1,2"),
    "cut in a placeholder": ("{0} {…", "1"),
    "empty message": ("", "1"),
}


@pytest.mark.parametrize(("msg", "params", "text"), FILLED.values(), ids=FILLED)
def test_a_clear_form_is_filled_in(msg: str, params: str, text: str) -> None:
    assert filled_in(msg, split_params(params)) == text


@pytest.mark.parametrize(("msg", "params"), UNCHANGED.values(), ids=UNCHANGED)
def test_an_unclear_form_is_unchanged(msg: str, params: str | None) -> None:
    assert filled_in(msg, split_params(params)) == msg


@pytest.mark.parametrize(
    ("msg_params", "values"),
    [
        (None, ()),
        ("", ()),
        ("a", ("a",)),
        ("a,b", ("a", "b")),
        (",", ("", "")),
        ("a,", ("a", "")),
        (" a, b", (" a", " b")),
    ],
)
def test_values_are_split_at_commas_and_unchanged(msg_params: str | None, values: tuple[str, ...]) -> None:
    assert split_params(msg_params) == values


values = st.text(st.characters(codec="utf-8", exclude_characters=","), max_size=5)
plain = st.text(st.characters(codec="utf-8", exclude_characters="{}%\\'$#"), max_size=5)


@given(st.lists(st.tuples(plain, values), min_size=1, max_size=6), plain, st.sampled_from(["{}", "%s", "numbered"]))
def test_every_value_replaces_its_placeholder(pairs: list[tuple[str, str]], end: str, form: str) -> None:
    marks = [f"{{{n}}}" if form == "numbered" else form for n in range(len(pairs))]
    msg = "".join(text + mark for (text, _), mark in zip(pairs, marks, strict=True)) + end
    msg_params = ",".join(value for _, value in pairs)
    expected = "".join(text + value for text, value in pairs) + end if msg_params else msg
    assert filled_in(msg, split_params(msg_params)) == expected


@given(st.text(st.sampled_from("{}%s0123$\\', ab"), max_size=20), st.none() | st.text("ab,{}%s0", max_size=8))
def test_any_message_is_filled_in_or_unchanged_without_an_error(msg: str, msg_params: str | None) -> None:
    text = filled_in(msg, split_params(msg_params))
    assert text == msg or msg_params


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_message_without_placeholders_is_unchanged(msg: str, msg_params: str) -> None:
    bare = msg.replace("{", "").replace("%", "")
    assert filled_in(bare, split_params(msg_params)) == bare


def adjust(outcome: Outcome, rule: Rule, reply: ReplyRecord | None) -> CallRecord:
    """Return the record of an adjust with this outcome, rule and reply."""
    verdict = Verdict(outcome=outcome, rule=rule, reply=reply)
    return CallRecord(operation=Operation.ADJUST, request_unique_no="N", sent_at=AT, verdict=verdict)


def rejected(**fields: Any) -> CallRecord:  # noqa: ANN401 - any field of ReplyRecord
    """Return the record of an adjust that was rejected with this reply."""
    return adjust(Outcome.REJECTED, Rule.CODE_FAILURE, ReplyRecord(**{"code": "E17", **fields}))


def cancel(**fields: Any) -> CallRecord:  # noqa: ANN401 - any field of ReplyRecord
    """Return the record of a cancel with this reply."""
    return rejected(**fields).model_copy(update={"operation": Operation.CANCEL_ADJUST, "kind": CancelKind.FIRST})


def test_a_rejection_has_the_message_of_its_reply() -> None:
    calls = (rejected(msg="no {0} credit", msg_params="USD"), cancel(code="US_0000001", msg="not applied"))
    assert broker_message(calls) == BrokerMessage(
        code="E17", message="no {0} credit", params=("USD",), text="no USD credit"
    )


@pytest.mark.parametrize("msg", [None, ""])
def test_a_rejection_without_a_message_has_its_code(msg: str | None) -> None:
    assert broker_message((rejected(msg=msg, msg_params="a"),)) == BrokerMessage(
        code="E17", message=None, params=("a",), text=None
    )


OTHER_OUTCOMES = {
    "nothing sent yet": (),
    "a cancel alone": (cancel(msg="not applied"),),
    "applied, and void for another reason": (adjust(Outcome.APPLIED, Rule.CODE_SUCCESS, ReplyRecord(code="0")),),
    "no reply": (adjust(Outcome.UNKNOWN, Rule.DEADLINE, None),),
    "another order's reply": (adjust(Outcome.UNKNOWN, Rule.FOREIGN_TRACE, ReplyRecord(code="E1", msg="no credit")),),
    "a contradiction": (adjust(Outcome.UNKNOWN, Rule.CONTRADICTORY, ReplyRecord(code="0", msg="done", ok=False)),),
    "not sent": (adjust(Outcome.NOT_SENT, Rule.NOT_CONNECTED, None),),
}


@pytest.mark.parametrize("calls", OTHER_OUTCOMES.values(), ids=OTHER_OUTCOMES)
def test_any_other_outcome_has_no_message(calls: tuple[CallRecord, ...]) -> None:
    """A message for another order must not reach this user, and a contradictory reply may report a success."""
    assert broker_message(calls) is None


def test_the_text_is_cut_at_its_maximum_length() -> None:
    message = broker_message((rejected(msg="{0}" * 66, msg_params="x" * 200),))
    assert message is not None
    assert message.text == "x" * (TEXT_LENGTH_MAX - 1) + "…"
