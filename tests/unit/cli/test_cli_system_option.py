"""`--system` names the external system of a settlement. It is needed if several settlements have the number."""

import json

import pytest

from tests.support.cli import settlement
from tests.unit.cli.api_answers import ended_settlement, problem
from tests.unit.cli.conftest import FakeServer, ServeScript
from tests.unit.cli.scripted_api import json_answer

WHY = ["--reason", "BROKER_RECOVERED", "--note", "n"]
RESOLVED = ["--reason", "REVERSED_BY_BROKER", "--note", "n", "--reference", "r"]
COMMANDS = {
    "show": ([], "/v1/settlements/ORD-1"),
    "explain": ([], "/v1/settlements/ORD-1/explain"),
    "events": ([], "/v1/settlements/ORD-1/events"),
    "retry": (WHY, "/v1/settlements/ORD-1/cancel-adjust-retries"),
    "resolve": (RESOLVED, "/v1/settlements/ORD-1/resolution"),
}


@pytest.mark.parametrize("command", COMMANDS)
async def test_every_command_with_a_number_sends_the_system(serve_script: ServeScript, command: str) -> None:
    """Without the option the number is looked up among all settlements that the key may see."""
    options, path = COMMANDS[command]
    url, script = await serve_script(problem(404, "not-found"))
    for system in (["--system", "alpha"], []):
        ran = await settlement(command, "ORD-1", *options, *system, url=url)
        assert ran.code == 1
    assert [(each.path, each.query) for each in script.requests] == [(path, {"system": "alpha"}), (path, {})]


@pytest.mark.parametrize("command", COMMANDS)
async def test_an_ambiguous_number_is_refused_with_the_option_to_give(serve_script: ServeScript, command: str) -> None:
    detail = "several settlements have the requestUniqueNo 'ORD-1', at the external systems alpha, beta"
    url, _ = await serve_script(problem(409, "number-ambiguous", detail))
    ran = await settlement(command, "ORD-1", *COMMANDS[command][0], url=url)
    assert ran.code == 1
    assert f"{detail} [number-ambiguous, HTTP 409]\n  name it with --system\n" in ran.err


@pytest.mark.parametrize("name", ["Alpha", "", "a b", "-a", "a" * 33])
async def test_a_malformed_system_is_wrong_usage(name: str) -> None:
    ran = await settlement("show", "ORD-1", f"--system={name}")
    assert ran.code == 2
    assert "must be the name of an external system" in ran.err


async def test_the_result_of_a_retry_is_read_with_the_system_of_the_answer(serve_script: ServeScript) -> None:
    """The first answer names the system, so polling cannot become ambiguous meanwhile."""
    body = json.loads(bytes(ended_settlement("ORD-1").body))
    url, script = await serve_script(
        json_answer(json.dumps(body | {"system": "beta", "state": "CANCELLING"})),
        json_answer(json.dumps(body | {"system": "beta"})),
    )
    ran = await settlement("retry", "ORD-1", *WHY, "--wait", "3", url=url)
    assert ran.code == 0, ran.err
    assert script.requests[-1].query == {"system": "beta"}


async def test_lists_show_the_system(api: FakeServer, serve_script: ServeScript) -> None:
    item = bytes(ended_settlement("ORD-1").body).decode()
    url, _ = await serve_script(json_answer(f'{{"items":[{item}],"nextCursor":null}}'))
    listed = await settlement("list", url=url)
    found = await settlement("findings", url=api.url)
    assert [ran.rows()[1][ran.rows()[0].index("system")] for ran in (listed, found)] == ["default", "default"]
