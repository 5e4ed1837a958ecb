"""A second, independent classification of replies, written from the contract without the connector's models."""

import json
from typing import Any

from connector.classify import classify
from connector.exchange import Reply
from settlement.calls import Rule
from settlement.states import Outcome

TYPES: dict[str, type] = {
    "bizCode": str,
    "code": str,
    "msg": str,
    "tm": int,
    "trace": str,
    "msgParams": str,
    "ok": bool,
    "fail": bool,
}
RULES_OF = {
    Outcome.APPLIED: {Rule.CODE_SUCCESS},
    Outcome.REJECTED: {Rule.CODE_FAILURE},
    Outcome.UNKNOWN: {Rule.HTTP_STATUS, Rule.OVERSIZED, Rule.UNREADABLE, Rule.CONTRADICTORY},
}


def no_constant(token: str) -> None:
    """Refuse NaN and Infinity, which are not JSON."""
    raise ValueError(token)


def no_field_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that contains a field twice."""
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError(pairs)
    return dict(pairs)


def expected(status: int, body: bytes, *, oversized: bool) -> Outcome:
    """Return the outcome of a reply by the contract's interpretations."""
    if status != 200 or oversized:
        return Outcome.UNKNOWN
    try:
        text = body.decode("utf-8").strip(" \t\n\r\v\f")
        if text.startswith("\ufeff"):
            text = text[1:].lstrip(" \t\n\r\v\f")
        reply = json.loads(text, object_pairs_hook=no_field_twice, parse_constant=no_constant)
    except (ValueError, RecursionError):
        return Outcome.UNKNOWN
    if type(reply) is not dict or type(reply.get("code")) is not str:
        return Outcome.UNKNOWN
    present = {name: reply[name] for name in TYPES if reply.get(name) is not None}
    if any(type(value) is not TYPES[name] for name, value in present.items()):
        return Outcome.UNKNOWN
    success = reply["code"] == "0"
    if present.get("ok", success) is not success or present.get("fail", not success) is success:
        return Outcome.UNKNOWN
    return Outcome.APPLIED if success else Outcome.REJECTED


def check(status: int, body: bytes, *, oversized: bool = False) -> None:
    """Check that the connector and this classification agree."""
    verdict = classify(Reply(status, body, oversized=oversized))
    assert verdict.outcome is expected(status, body, oversized=oversized)
    assert verdict.rule in RULES_OF[verdict.outcome]
    assert verdict.http_status == status
    assert len(verdict.detail) <= 300
    assert verdict.model_dump_json()
