"""Reports of conformance runs that were never made: one with every outcome, and parts to build others."""

import json
import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from conformance.checks import REQUIREMENTS
from conformance.curl import curl
from conformance.exchange import Exchange
from conformance.requirement import Outcome, Requirement, Result
from conformance.target import Target
from conformance.verdict import RunReport, judge

TARGET = Target("https://broker.example/settlement")
STARTED_AT = datetime(2026, 11, 28, 9, 30, 4, 250_000, tzinfo=UTC)


def requirement(requirement_id: str, **fields: Any) -> Requirement:  # noqa: ANN401 - any field
    """Return a requirement of the kit, or one with the same kind of texts for an id that the kit does not have."""
    if requirement_id in REQUIREMENTS:
        return replace(REQUIREMENTS[requirement_id].requirement, **fields)
    texts: dict[str, Any] = {
        "title": "A repeated request has one effect",
        "rule": "The same request has one effect, however often it is sent. Every repeat gets the first answer.",
        "why": "The platform repeats a request whose reply was lost. A second effect takes the customer's money twice.",
        "source": "docs/contract.md#repeating-an-adjust",
        "check": "Sends an adjust twice with one number, then its cancel.",
    }
    return Requirement(requirement_id, **(texts | fields))


def http_request(path: str, **fields: Any) -> bytes:  # noqa: ANN401 - any field of a body
    """Return the bytes of a request with these fields in its body, and those that adjust and cancel share."""
    shared: dict[str, Any] = {
        "thirdServerCode": "kit-4711-012",
        "userName": "kit-4711",
        "currency": "USD",
        "bizType": 1,
        "amount": "12.50",
        "amountDigits": 2,
        "orderId": 4711012,
        "requestUniqueNo": "kit-4711-012-a",
        "requestTime": 1795858204250,
        "ip": "203.0.113.7",
    }
    body = json.dumps(shared | fields)
    head = (
        f"POST /settlement{path} HTTP/1.1\r\nhost: broker.example\r\ncontent-type: application/json\r\n"
        "trace: kit-4711-012-t1\r\ntimestamp: 1795858204250\r\nauthorization: ***\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


def http_reply(body: bytes, status: int = 200) -> bytes:
    """Return the bytes of a reply with this body."""
    head = f"HTTP/1.1 {status} OK\r\nserver: broker\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def answer(code: str, message: str = "", trace: str = "kit-4711-012-t1") -> bytes:
    """Return the body of a reply of table 4."""
    fields = {"bizCode": "", "code": code, "msg": message, "tm": 12, "trace": trace, "data": {}, "ok": code == "0"}
    return json.dumps(fields).encode()


def exchange(label: str = "the adjust", received: bytes | None = None, **fields: Any) -> Exchange:  # noqa: ANN401 - any field
    """Return an exchange that was answered with code 0."""
    usual = Exchange(
        label=label,
        started_at=STARTED_AT + timedelta(seconds=31.2),
        sent=http_request("/", operationType="OPEN_POSITION"),
        received=http_reply(answer("0")) if received is None else received,
        elapsed_s=0.01734,
        failure=None,
        status=200,
        curl="",
    )
    made = replace(usual, **fields)
    return made if made.curl else replace(made, curl=curl(TARGET, TARGET.base_url, made.sent))


def lost(label: str, **fields: Any) -> Exchange:  # noqa: ANN401 - any field
    """Return an exchange without a reply."""
    return exchange(label, b"", elapsed_s=10.0, failure="no reply within 10 s", status=None, **fields)


def passed(requirement_id: str, exchanges: int = 3) -> Result:
    """Return the result of a requirement that is met."""
    sent = tuple(exchange(f"adjust {number}") for number in range(1, exchanges + 1))
    return Result(requirement(requirement_id), Outcome.PASSED, "", sent, 0.0521)


def failed(requirement_id: str, reason: str, *exchanges: Exchange) -> Result:
    """Return the result of a requirement that is broken."""
    return Result(requirement(requirement_id), Outcome.FAILED, reason, exchanges, sum(e.elapsed_s for e in exchanges))


def not_checked(requirement_id: str, option: str) -> Result:
    """Return the result of a requirement for which an option is missing."""
    needs = requirement(requirement_id, needs=(option,))
    return Result(needs, Outcome.NOT_CHECKED, f"`{option}` is missing", (), 0.0)


def run_report(*results: Result, ended_early: str | None = None, **fields: Any) -> RunReport:  # noqa: ANN401 - any field
    """Return the report of a run with these results."""
    verdict, sentence = judge(results, ended_early)
    usual = RunReport(
        verdict=verdict,
        sentence=sentence,
        base_url="https://broker.example/settlement",
        started_at=STARTED_AT,
        elapsed_s=192.4,
        kit_version="0.1.0",
        seed=4711,
        settings={
            "--base-url": "https://broker.example/settlement",
            "--protocol": "both",
            "--header": "authorization: ***",
            "--code": "US_0000200=reversed",
            "--exchange-limit-s": "10",
            "--seed": "4711",
        },
        results=results,
        latencies_s=latencies(),
    )
    return replace(usual, **fields)


def latencies(count: int = 400, slow: int = 3) -> tuple[tuple[float, float], ...]:
    """Return latencies around 20 ms, and some of more than 3 s."""
    draw = random.Random(count)  # noqa: S311 - a picture, not a secret
    usual = [(index * 0.48, draw.lognormvariate(math.log(0.02), 0.6)) for index in range(count)]
    return tuple(usual + [(60.0 + 31 * index, 3.1 + index) for index in range(slow)])


def every_outcome() -> RunReport:
    """Return a report with failed, not checked and passed requirements."""
    repeat = exchange("the same adjust again", http_reply(answer("US_0000409", "duplicate number")))
    cancel = http_request(
        "/get-user-amount", reverseRequestUniqueNo="kit-4711-044-b", cancelRemark="no reply within 3 s"
    )
    broken = {
        "C-012": failed(
            "C-012",
            "the same adjust again: expected code `0`, as in the first reply; came: code `US_0000409`",
            exchange("the first adjust"),
            repeat,
        ),
        "C-044": failed(
            "C-044",
            "a cancel of an adjust that was never sent: expected code `US_0000002`; no reply came within 10 s",
            lost("a cancel of an adjust that was never sent", sent=cancel),
        ),
    }
    missing = {"C-046": "--refused-metadata", "C-080": "--balance-url", "C-082": "--balance-url"}
    results = [
        broken.get(each) or (not_checked(each, missing[each]) if each in missing else passed(each))
        for each in REQUIREMENTS
    ]
    return run_report(*results)
