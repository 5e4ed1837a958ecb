"""Failures of the network and the API: limited waits, no unsafe repeats, and an error message for each."""

import json

import pytest
from starlette.responses import Response

from cli.api import RETRIES_MAX
from tests.support.cli import settlement
from tests.support.orders import order
from tests.unit.cli.api_answers import EXPOSURE, problem
from tests.unit.cli.conftest import ServeScript
from tests.unit.cli.scripted_api import dripping, hanging, json_answer, unavailable

GOOD = EXPOSURE.model_dump_json()
WHY = ["--reason", "OTHER", "--note", "n"]
NOT_REPEATED = [
    ["retry", "ORD-1", *WHY],
    ["resolve", "ORD-1", *WHY, "--reference", "r"],
    ["keys", "create", "--client", "a", "--role", "viewer", "--companies", "all"],
    ["reconcile"],
]
REPEATED = [
    ["show", "ORD-1"],
    ["list"],
    ["exposure"],
    ["batch-retry", "stop", "B-1"],
    ["keys", "revoke", "k1"],
]


async def test_a_read_is_repeated_after_a_503(serve_script: ServeScript) -> None:
    url, script = await serve_script(unavailable(), unavailable(), json_answer(GOOD))
    ran = await settlement("exposure", "--json", url=url)
    assert (ran.code, ran.out, len(script.requests)) == (0, GOOD + "\n", 3)


@pytest.mark.parametrize("command", REPEATED, ids=" ".join)
async def test_the_number_of_repeats_is_limited(serve_script: ServeScript, command: list[str]) -> None:
    url, script = await serve_script(unavailable())
    ran = await settlement(*command, url=url)
    assert (ran.code, len(script.requests)) == (3, 1 + RETRIES_MAX)
    assert "[ledger-unavailable, HTTP 503]" in ran.err


async def test_a_repeated_order_is_byte_for_byte_the_same_request(serve_script: ServeScript) -> None:
    url, script = await serve_script(unavailable())
    fields = order()
    options = [part for name, value in fields.items() for part in (f"--{_kebab(name)}", str(value))]
    ran = await settlement("submit", *options, url=url)
    assert (ran.code, len(script.requests)) == (3, 1 + RETRIES_MAX)
    assert {request.body for request in script.requests} == {json.dumps(json.loads(script.requests[0].body)).encode()}
    assert json.loads(script.requests[0].body) == fields
    assert "in doubt: the order must not proceed" in ran.err
    assert (
        f"send the same order again, which is safe, or check with: settlement show {fields['requestUniqueNo']}"
        in ran.err
    )


@pytest.mark.parametrize("command", NOT_REPEATED, ids=" ".join)
async def test_an_action_is_sent_once_and_the_doubt_is_reported(serve_script: ServeScript, command: list[str]) -> None:
    url, script = await serve_script(unavailable())
    ran = await settlement(*command, url=url)
    assert (ran.code, ran.out, len(script.requests)) == (3, "", 1)
    assert command == ["reconcile"] or "may have been" in ran.err


async def test_the_command_does_not_wait_for_a_long_pause(serve_script: ServeScript) -> None:
    url, script = await serve_script(unavailable("86400"))
    assert (await settlement("exposure", url=url)).code == 3
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (problem(409, "wrong-state", "needs ABORTED"), 1, "Wrong-state: needs ABORTED [wrong-state, HTTP 409]"),
        (problem(418, "a-new-code", "as of tomorrow"), 1, "[a-new-code, HTTP 418]"),
        (problem(500, "internal", "unexpected"), 3, "[internal, HTTP 500]"),
        (Response("<html>", 502, media_type="text/html"), 3, "HTTP 502 does not come from the API"),
        (Response("<html>", 404, media_type="text/html"), 3, "HTTP 404 does not come from the API"),
        (Response("<html>", 200, media_type="text/html"), 3, "the answer is not JSON"),
        (Response("[" * 100_000, 200), 3, "the answer is not JSON"),
        (json_answer("[]"), 3, "cannot read the answer"),
        (json_answer("{}"), 3, "cannot read the answer (asOf)"),
    ],
    ids=lambda value: "answer" if isinstance(value, Response) else str(value),
)
async def test_every_unusable_answer_has_an_error_message(
    serve_script: ServeScript, answer: Response, code: int, message: str
) -> None:
    url, _ = await serve_script(answer)
    ran = await settlement("exposure", url=url)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err


async def test_each_field_and_rule_of_a_refusal_is_shown(serve_script: ServeScript) -> None:
    errors = [{"field": "amount", "rule": "must be positive"}, {"field": "ip", "rule": "must be an address"}]
    body = {"title": "Validation failed", "code": "validation-failed", "detail": "d", "errors": errors}
    url, _ = await serve_script(json_answer(json.dumps(body), 422))
    ran = await settlement("exposure", url=url)
    assert ran.err.splitlines() == [
        "error: Validation failed: d [validation-failed, HTTP 422]",
        "  amount: must be positive",
        "  ip: must be an address",
    ]


async def test_with_json_a_problem_is_printed_unchanged_to_stderr(serve_script: ServeScript) -> None:
    refused = problem(403, "forbidden")
    url, _ = await serve_script(refused)
    ran = await settlement("exposure", "--json", url=url)
    assert (ran.code, ran.out) == (1, "")
    assert json.loads(ran.err) == json.loads(bytes(refused.body))


async def test_a_redirect_is_not_followed_and_the_key_is_not_sent_elsewhere(serve_script: ServeScript) -> None:
    other_url, other = await serve_script(json_answer(GOOD))
    url, script = await serve_script(Response(status_code=307, headers={"location": other_url}))
    ran = await settlement("exposure", url=url, SETTLEMENT_API_KEY="k1.secret")
    assert (ran.code, other.requests) == (3, [])
    assert script.requests[0].headers["authorization"] == "Bearer k1.secret"
    assert "not followed" in ran.err


@pytest.mark.parametrize("beginning", ["", '{"asOf":'], ids=["no byte", "half an answer"])
async def test_an_answer_that_hangs_times_out(serve_script: ServeScript, beginning: str) -> None:
    url, _ = await serve_script(hanging(beginning))
    ran = await settlement("exposure", "--timeout", "0.3", url=url)
    assert (ran.code, ran.err) == (3, f"error: no answer from {url} in time\n")


async def test_an_answer_that_is_too_slow_in_total_times_out(serve_script: ServeScript) -> None:
    """No single read times out, but the complete answer takes too long."""
    url, _ = await serve_script(dripping())
    ran = await settlement("exposure", "--timeout", "0.5", url=url)
    assert (ran.code, ran.err) == (3, "error: the answer was not complete after 0.5 s\n")


async def test_a_refused_connection_means_that_nothing_was_sent(unreachable_url: str) -> None:
    ran = await settlement("retry", "ORD-1", *WHY, url=unreachable_url)
    assert ran.code == 3
    assert "cannot reach" in ran.err
    assert "may have been" not in ran.err


async def test_a_repeated_page_ends_the_command(serve_script: ServeScript) -> None:
    url, script = await serve_script(json_answer('{"items":[],"nextCursor":"again"}'))
    ran = await settlement("list", "--all", url=url)
    assert (ran.code, len(script.requests)) == (3, 2)
    assert "the same page" in ran.err


async def test_every_filter_is_sent_with_its_parameter_name(serve_script: ServeScript) -> None:
    url, script = await serve_script(json_answer('{"items":[],"nextCursor":null}'))
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
    assert script.requests[0].query == {
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


async def test_text_from_the_answer_cannot_control_the_terminal(serve_script: ServeScript) -> None:
    """The text of a broker is printed without its escape codes."""
    hostile = "\x1b]0;owned\x07\r\n\u202egnp"
    url, _ = await serve_script(problem(409, "wrong-state", hostile))
    ran = await settlement("exposure", url=url)
    assert not set("\x1b\x07\r\u202e") & set(ran.err)
    assert r"\x1b]0;owned\x07\r\n\u202egnp" in ran.err


def _kebab(name: str) -> str:
    return "".join(f"-{each.lower()}" if each.isupper() else each for each in name)
