"""Whatever the network and the API do: bounded, never sent twice where that is not safe, and said in a sentence."""

import json

import pytest
from starlette.responses import Response

from cli.api import REPEATS_MAX
from tests.support.cli import settlement
from tests.support.orders import order
from tests.unit.cli.api_answers import EXPOSURE, problem
from tests.unit.cli.conftest import Script
from tests.unit.cli.scripted_api import dripping, hanging, json_answer, unavailable

GOOD = EXPOSURE.model_dump_json()
WHY = ["--reason", "OTHER", "--note", "n"]
NEVER_REPEATED = [
    ["retry", "ORD-1", *WHY],
    ["resolve", "ORD-1", *WHY, "--reference", "r"],
    ["keys", "create", "--owner", "a", "--role", "viewer"],
    ["reconcile"],
]
REPEATED = [
    ["show", "ORD-1"],
    ["list"],
    ["exposure"],
    ["batch-retry", "stop", "B-1"],
    ["keys", "revoke", "k1"],
]


async def test_a_503_is_repeated_after_its_pause(scripted: Script) -> None:
    url, script = await scripted(unavailable(), unavailable(), json_answer(GOOD))
    ran = await settlement("exposure", "--json", url=url)
    assert (ran.code, ran.out, len(script.seen)) == (0, GOOD + "\n", 3)


@pytest.mark.parametrize("command", REPEATED, ids=" ".join)
async def test_repeats_are_bounded(scripted: Script, command: list[str]) -> None:
    url, script = await scripted(unavailable())
    ran = await settlement(*command, url=url)
    assert (ran.code, len(script.seen)) == (3, 1 + REPEATS_MAX)
    assert "[ledger-unavailable, HTTP 503]" in ran.err


async def test_a_repeated_order_is_the_same_request_byte_for_byte(scripted: Script) -> None:
    url, script = await scripted(unavailable())
    fields = order()
    options = [part for name, value in fields.items() for part in (f"--{_kebab(name)}", str(value))]
    ran = await settlement("submit", *options, url=url)
    assert (ran.code, len(script.seen)) == (3, 1 + REPEATS_MAX)
    assert {seen.body for seen in script.seen} == {json.dumps(json.loads(script.seen[0].body)).encode()}
    assert json.loads(script.seen[0].body) == fields
    assert "in doubt: the order must not proceed" in ran.err
    assert f"the same order again is safe and tells; or settlement show {fields['requestUniqueNo']}" in ran.err


@pytest.mark.parametrize("command", NEVER_REPEATED, ids=" ".join)
async def test_an_act_is_sent_once_and_in_doubt_that_is_said(scripted: Script, command: list[str]) -> None:
    url, script = await scripted(unavailable())
    ran = await settlement(*command, url=url)
    assert (ran.code, ran.out, len(script.seen)) == (3, "", 1)
    assert command == ["reconcile"] or "it may have been" in ran.err


async def test_a_long_pause_is_not_sat_out(scripted: Script) -> None:
    url, script = await scripted(unavailable("86400"))
    assert (await settlement("exposure", url=url)).code == 3
    assert len(script.seen) == 1


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (problem(409, "wrong-state", "needs ABORTED"), 1, "Wrong-state: needs ABORTED [wrong-state, HTTP 409]"),
        (problem(418, "a-new-code", "as of tomorrow"), 1, "[a-new-code, HTTP 418]"),
        (problem(500, "internal", "unexpected"), 3, "[internal, HTTP 500]"),
        (Response("<html>", 502, media_type="text/html"), 3, "HTTP 502, and not in the API's words"),
        (Response("<html>", 404, media_type="text/html"), 3, "HTTP 404, and not in the API's words"),
        (Response("<html>", 200, media_type="text/html"), 3, "and not JSON"),
        (Response("[" * 100_000, 200), 3, "and not JSON"),
        (json_answer("[]"), 3, "cannot read the answer"),
        (json_answer("{}"), 3, "cannot read the answer (asOf)"),
    ],
    ids=lambda value: "answer" if isinstance(value, Response) else str(value),
)
async def test_every_answer_ends_in_a_sentence(scripted: Script, answer: Response, code: int, said: str) -> None:
    url, _ = await scripted(answer)
    ran = await settlement("exposure", url=url)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


async def test_each_field_and_rule_of_a_refusal_is_shown(scripted: Script) -> None:
    errors = [{"field": "amount", "rule": "must be positive"}, {"field": "ip", "rule": "must be an address"}]
    body = {"title": "Validation failed", "code": "validation-failed", "detail": "d", "errors": errors}
    url, _ = await scripted(json_answer(json.dumps(body), 422))
    ran = await settlement("exposure", url=url)
    assert ran.err.splitlines() == [
        "error: Validation failed: d [validation-failed, HTTP 422]",
        "  amount: must be positive",
        "  ip: must be an address",
    ]


async def test_with_json_a_problem_is_on_stderr_as_it_came(scripted: Script) -> None:
    refused = problem(403, "forbidden")
    url, _ = await scripted(refused)
    ran = await settlement("exposure", "--json", url=url)
    assert (ran.code, ran.out) == (1, "")
    assert json.loads(ran.err) == json.loads(bytes(refused.body))


async def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(scripted: Script) -> None:
    elsewhere, other = await scripted(json_answer(GOOD))
    url, script = await scripted(Response(status_code=307, headers={"location": elsewhere}))
    ran = await settlement("exposure", url=url, SETTLEMENT_API_KEY="k1.secret")
    assert (ran.code, other.seen) == (3, [])
    assert script.seen[0].headers["authorization"] == "Bearer k1.secret"
    assert "not followed" in ran.err


@pytest.mark.parametrize("beginning", ["", '{"asOf":'], ids=["no byte", "half an answer"])
async def test_an_answer_that_does_not_come_is_given_up(scripted: Script, beginning: str) -> None:
    url, _ = await scripted(hanging(beginning))
    ran = await settlement("exposure", "--timeout", "0.3", url=url)
    assert (ran.code, ran.err) == (3, f"error: no answer from {url} in time\n")


async def test_an_answer_that_drips_is_given_up_too(scripted: Script) -> None:
    """No single byte is late; all together they are."""
    url, _ = await scripted(dripping())
    ran = await settlement("exposure", "--timeout", "0.5", url=url)
    assert (ran.code, ran.err) == (3, "error: the answer was not complete after 0.5 s\n")


async def test_nobody_there_means_nothing_was_sent(dead_url: str) -> None:
    ran = await settlement("retry", "ORD-1", *WHY, url=dead_url)
    assert ran.code == 3
    assert "cannot reach" in ran.err
    assert "may have been" not in ran.err


async def test_pages_that_lead_nowhere_end(scripted: Script) -> None:
    url, script = await scripted(json_answer('{"items":[],"nextCursor":"again"}'))
    ran = await settlement("list", "--all", url=url)
    assert (ran.code, len(script.seen)) == (3, 2)
    assert "the same page" in ran.err


async def test_every_filter_is_sent_under_its_own_name(scripted: Script) -> None:
    url, script = await scripted(json_answer('{"items":[],"nextCursor":null}'))
    filters = {
        "--state": "aborted",
        "--order-id": "4711",
        "--user-name": "u 1",
        "--company": "-7",
        "--currency": "USD",
        "--cancel-result": "REVERSED",
        "--from": "2026-01-05T03:10Z",
        "--to": "2026-01-05T03:10+08:00",
        "--cursor": "c",
    }
    ran = await settlement("list", *[part for pair in filters.items() for part in pair], "--limit", "7", url=url)
    assert ran.code == 0
    assert script.seen[0].query == {
        "state": "ABORTED",
        "orderId": "4711",
        "userName": "u 1",
        "companyId": "-7",
        "currency": "USD",
        "cancelResult": "REVERSED",
        "from": "2026-01-05T03:10:00+00:00",
        "to": "2026-01-05T03:10:00+08:00",
        "cursor": "c",
        "limit": "7",
    }


async def test_what_the_answer_quotes_cannot_steer_the_terminal(scripted: Script) -> None:
    """A broker's text reaches the screen; its escape codes do not."""
    evil = "\x1b]0;owned\x07\r\n\u202egnp"
    url, _ = await scripted(problem(409, "wrong-state", evil))
    ran = await settlement("exposure", url=url)
    assert not set("\x1b\x07\r\u202e") & set(ran.err)
    assert r"\x1b]0;owned\x07\r\n\u202egnp" in ran.err


def _kebab(name: str) -> str:
    return "".join(f"-{each.lower()}" if each.isupper() else each for each in name)
