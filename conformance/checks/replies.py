"""What every reply has: status, encoding, JSON, the fields of table 4, and the trace of its request."""

import asyncio
import codecs
import json
import re

from pydantic import ValidationError

from conformance.kit import PLAIN_ADJUST, Kit
from conformance.reading import Answer, Reply, json_object, quoted
from conformance.requirement import BrokenRequirement, NotChecked, requirement
from contract.operations import CODE_SUCCESS, ExternalReply
from contract.strict_json import no_repeats, not_json

CONCURRENT = 10
_THREE = "Sends an adjust, its cancel, and a cancel of a number that was never used."


async def usual_answers(kit: Kit) -> list[Answer]:
    """Return complete replies to an adjust, its cancel, and a cancel of a number that was never used.

    With a declared hook, the reply to an adjust that the broker refuses is the fourth.
    """
    order, unused = kit.order(), kit.order()
    answers = [
        await kit.adjust(order),
        await kit.cancel(order),
        await kit.cancel(unused, label="a cancel of a number that was never used"),
    ]
    if kit.target.refused is not None:
        refused = kit.order(**kit.target.refused.changes())
        answers.append(await kit.adjust(refused, label="an adjust that is refused"))
    if answers[0].reply is None and answers[0].exchange.status not in _business_statuses(kit):
        message = f"{answers[0].exchange.label}: {answers[0].problem}. {PLAIN_ADJUST} must pass first"
        raise NotChecked(message)
    for answer in answers:
        if answer.http is None:
            message = f"{answer.exchange.label}: {answer.problem}"
            raise NotChecked(message)
    return answers


async def usual_replies(kit: Kit) -> list[tuple[str, Reply]]:
    """Return the replies of `usual_answers`, each with its label. Raises NotChecked if one of them has no code."""
    replies = []
    for answer in await usual_answers(kit):
        if answer.reply is None:
            message = f"{answer.exchange.label}: {answer.problem}. C-002 to C-004 must pass first"
            raise NotChecked(message)
        replies.append((answer.exchange.label, answer.reply))
    return replies


def _business_statuses(kit: Kit) -> set[int]:
    return {200, *kit.target.business_statuses}


@requirement(
    "C-002",
    title="A reply has the fields and types of table 4",
    rule=(
        "The body of every reply is a JSON object with the string `code`. The other fields of table 4 are optional; "
        "where they are present, they have the types of table 4. Only `data` is left to C-005."
    ),
    why=(
        "The platform does not guess: a `code` that is the number 0 is not code `0`. The outcome is then unknown, "
        "and a successful order is cancelled."
    ),
    source="docs/contract.md#table-4",
    check=f"{_THREE} Compares each field of the replies with table 4.",
)
async def fields_and_types(kit: Kit) -> None:
    """Check C-002."""
    for answer in await usual_answers(kit):
        fields = json_object(answer.http) if answer.http else None
        if fields is None:
            message = f"{answer.exchange.label}: {answer.problem}. C-004 must pass first"
            raise NotChecked(message)
        try:
            ExternalReply.model_validate(fields)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0])
            came = quoted(fields[name]) if name in fields else "no such field"
            message = f"{answer.exchange.label}: {name}: expected table 4 ({first['msg']}); came: {came}"
            raise BrokenRequirement(message) from None


@requirement(
    "C-003",
    title="Business answers come under HTTP 200",
    rule=(
        "A reply of table 4 has the HTTP status 200, whatever its code. Other statuses that carry business answers "
        "must be declared (`--business-status`)."
    ),
    why=(
        "A reply under another status counts as unknown. A refused cancel is then repeated until it is aborted, "
        "and a refused adjust stays in doubt until it is confirmed."
    ),
    source="docs/contract.md#outcomes",
    check=f"{_THREE} With `--refused-metadata` or `--refused-customer` it sends an adjust that is refused, too. "
    "Compares the HTTP status of each reply.",
)
async def business_answers_under_200(kit: Kit) -> None:
    """Check C-003."""
    allowed = _business_statuses(kit)
    for answer in await usual_answers(kit):
        status = answer.exchange.status
        kit.expect(status in allowed, f"{answer.exchange.label}: expected HTTP 200", f"HTTP {status}")


@requirement(
    "C-004",
    title="A reply is UTF-8 JSON that can be read in one way",
    rule=(
        "The body of a reply is JSON in UTF-8 without a byte order mark. No object has a name twice, and there is "
        "neither NaN nor Infinity. A charset in Content-Type is UTF-8."
    ),
    why=(
        "Two parsers read a repeated `code` differently. One of them sees a success where the other sees a failure, "
        "so the two sides disagree about the money."
    ),
    source="docs/contract.md#variations-of-a-reply",
    check=f"{_THREE} Also sends an adjust without an amount, because replies with errors are often made elsewhere. "
    "Parses the bytes of each reply strictly.",
)
async def strict_json(kit: Kit) -> None:
    """Check C-004."""
    wrong = await kit.adjust(kit.order(amount=None), label="an adjust without an amount")
    for answer in [*await usual_answers(kit), wrong]:
        if answer.reply is None and answer.exchange.status not in _business_statuses(kit):
            continue  # a page with an error, which is no reply of table 4: C-003
        problem = _json_problem(answer)
        kit.expect(problem is None, f"{answer.exchange.label}: expected strict UTF-8 JSON", problem)


def _json_problem(answer: Answer) -> str | None:
    """Return what is wrong with the body as strict JSON; None if nothing is."""
    if answer.http is None:
        return answer.problem
    content_type, body = answer.http.header("content-type") or "", answer.http.body
    charset = re.search(r'charset\s*=\s*"?([^\s";]+)', content_type, re.IGNORECASE)
    if charset and charset[1].lower() not in {"utf-8", "utf8"}:
        return f"charset {quoted(charset[1])}"
    if answer.http.header("content-encoding") not in {None, "identity"}:
        return None  # C-006
    return "a byte order mark" if body.startswith(codecs.BOM_UTF8) else _parser_problem(body)


def _parser_problem(body: bytes) -> str | None:
    try:
        json.loads(body.decode(), object_pairs_hook=no_repeats, parse_constant=not_json)
    except UnicodeDecodeError as error:
        return f"the byte 0x{body[error.start]:02x}, which is not UTF-8, at {error.start}"
    except (ValueError, RecursionError) as error:
        return f"{error}: {quoted(body)}"
    return None


@requirement(
    "C-005",
    title="The field `data` is an object",
    rule="Where `data` is present, it is a JSON object; without a result it is `{}`, not `[]`.",
    why="A client with strict types cannot read a list where it expects an object, and loses the whole reply.",
    source="docs/contract.md#table-4",
    check=f"{_THREE} Looks at the type of `data` in each reply.",
)
async def data_is_an_object(kit: Kit) -> None:
    """Check C-005."""
    for answer in await usual_answers(kit):
        data = answer.reply.fields.get("data") if answer.reply else None
        kit.expect(
            data is None or isinstance(data, dict), f"{answer.exchange.label}: data: expected {{}}", quoted(data)
        )


@requirement(
    "C-006",
    title="A reply is not compressed if the request asks for identity",
    rule="The platform sends `Accept-Encoding: identity`. The reply has no other Content-Encoding.",
    why="The platform does not decompress, so that a small reply cannot become a large one. The outcome is unknown.",
    source="docs/contract.md#outcomes",
    check=f"{_THREE} Looks at the header Content-Encoding of each reply.",
)
async def no_content_encoding(kit: Kit) -> None:
    """Check C-006."""
    for answer in await usual_answers(kit):
        encoding = answer.http.header("content-encoding") if answer.http else None
        expected = f"{answer.exchange.label}: expected no Content-Encoding"
        kit.expect((encoding or "identity").lower() == "identity", expected, quoted(encoding))


@requirement(
    "C-007",
    title="`ok` and `fail` agree with `code`",
    rule="Where they are present, `ok` is true and `fail` is false exactly if `code` is `0`.",
    why="A reply that contradicts itself counts as unknown: a successful order is cancelled, a cancel is repeated.",
    source="docs/contract.md#outcomes",
    check=f"{_THREE} Compares `ok` and `fail` of each reply with its code. Declared codes (`--code`) are not compared.",
)
async def ok_and_fail_agree(kit: Kit) -> None:
    """Check C-007."""
    for label, reply in await usual_replies(kit):
        if reply.code in kit.target.codes:
            continue
        is_success = reply.code == CODE_SUCCESS
        for name, expected in (("ok", is_success), ("fail", not is_success)):
            value = reply.fields.get(name)
            if isinstance(value, bool):
                kit.expect(value is expected, f"{label}: code {quoted(reply.code)}: {name}: expected {expected}", value)


@requirement(
    "C-008",
    title="A reply carries the trace of its request",
    rule="The field `trace` of a reply equals the header `trace` of its request.",
    why=(
        "A reply with another trace answers another request, so the platform cannot trust it: a successful adjust "
        "counts as unknown and is cancelled. Without a trace, replies that were mixed up cannot be noticed."
    ),
    source="docs/contract.md#trace",
    check="Sends an adjust and its cancel, each with its own trace, and compares the trace of each reply.",
    alone=True,  # so that replies that are mixed up under concurrency fail C-009 alone
)
async def trace_is_echoed(kit: Kit) -> None:
    """Check C-008."""
    order = kit.order()
    trace = kit.orders.name("trace")
    answer = await kit.adjust(order, headers={"trace": trace})
    kit.expect(_trace(answer) == trace, f"an adjust: trace: expected {trace!r}", quoted(_trace(answer)))
    trace = kit.orders.name("trace")
    body = kit.cancel_body(order)
    answer = await kit.call(kit.target.plain_cancel, body, label="its cancel", headers={"trace": trace})
    kit.expect(_trace(answer) == trace, f"its cancel: trace: expected {trace!r}", quoted(_trace(answer)))


@requirement(
    "C-009",
    title="Concurrent replies carry each its own trace",
    rule="The trace of a reply is that of its own request, whatever other requests are handled at the same time.",
    why="If replies are mixed up, one customer's success is taken for another customer's, and both are wrong.",
    source="docs/contract.md#trace",
    check=f"Sends {CONCURRENT} adjusts at once, each with its own trace, and compares the trace of each reply.",
    alone=True,  # its first adjust must meet no other request
)
async def traces_are_not_mixed_up(kit: Kit) -> None:
    """Check C-009."""
    alone = kit.orders.name("trace")
    answer = await kit.adjust(kit.order(), headers={"trace": alone})
    if _trace(answer) != alone:
        message = "the trace of a single adjust is not in its reply. C-008 must pass first"
        raise NotChecked(message)
    traces = [kit.orders.name("trace") for _ in range(CONCURRENT)]
    orders = [kit.order() for _ in traces]
    calls = [kit.adjust(order, headers={"trace": trace}) for order, trace in zip(orders, traces, strict=True)]
    for trace, each in zip(traces, await asyncio.gather(*calls), strict=True):
        kit.expect(_trace(each) == trace, f"a concurrent adjust: trace: expected {trace!r}", quoted(_trace(each)))


def _trace(answer: Answer) -> object:
    """Return the trace of a reply. Raises NotChecked if no reply can be read."""
    if answer.reply is None:
        message = f"{answer.exchange.label}: {answer}. {PLAIN_ADJUST} must pass first"
        raise NotChecked(message)
    return answer.reply.trace
