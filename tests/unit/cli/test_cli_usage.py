"""The command line: usage errors that send nothing, and the exit code of an interrupted command."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from cli.app import app
from cli.commands.reconciliation import StatusFilter
from cli.options import FLAGS, OPTIONS_WITH_VALUE, program_options_first
from contract.adjust import AdjustRequest
from contract.fields import OperationType
from contract.path_segments import segment_of
from settlement.calls import Rule
from settlement.exposure import ExposureBy
from settlement.keys import Role
from settlement.operator_rules import ResolveReason, RetryReason
from settlement.states import CancelResult, State
from tests.support.cli import PROGRAM, ROOT, environment, settlement, terminal
from tests.support.orders import order
from tests.unit.cli.api_answers import EXPOSURE
from tests.unit.cli.conftest import ServeScript
from tests.unit.cli.scripted_api import hanging, json_answer

KEY = "k1.a-secret-that-is-never-printed"
WHY = ["--reason", "OTHER", "--note", "n"]
NEW_KEY = ["keys", "create", "--client", "x", "--role", "viewer", "--companies", "1"]

WRONG = [
    [],
    ["nonsense"],
    ["show"],
    ["show", "a\tb"],
    ["show", "N" * 49],
    ["show", "-1"],
    ["list", "--state", "NOWHERE"],
    ["list", "--from", "2026-01-05"],
    ["list", "--from", "yesterday"],
    ["list", "--limit", "0"],
    ["retry", "ORD-1"],
    ["retry", "ORD-1", "--reason", "BORED", "--note", "n"],
    ["resolve", "ORD-1", *WHY],
    ["batch-retry"],
    ["batch-retry", "start", "--company", "7", *WHY, "--rate", "1000"],
    ["batch-retry", "stop", "../x"],
    ["keys", "revoke", "a/b"],
    *([*NEW_KEY, "--companies", each] for each in ("", "1,", "1;2", "ALL")),
    *([*NEW_KEY, *each] for each in (["--role", "king"], ["--expires-in", "90"], ["--expires-in", "0d"])),
    ["submit"],
    ["submit", "--file", "-", "--amount", "1"],
    ["submit", "--file", "no-such-file.json"],
    ["submit", "--wait", "61", "--file", "-"],
    ["submit", "--file", "-", "--trace", "a b"],
    ["exposure", "--url", "ftp://x"],
    ["exposure", "--url", "http://user:password@x"],
    ["exposure", "--url", "http://x?y"],
    ["exposure", "--url", "x"],
    ["exposure", "--url", "http://[::1"],
    ["exposure", "--timeout", "0"],
    ["exposure", "--api-key-file", "no-such-file"],
    ["exposure", "--api-key", KEY],
    ["exposure", "--ca-file", "no-such-file"],
    ["exposure", "--ca-file", "pyproject.toml"],
    ["exposure", "--url"],
]


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
async def test_wrong_usage_is_2_and_nothing_is_sent(serve_script: ServeScript, arguments: list[str]) -> None:
    url, script = await serve_script(json_answer("{}"))
    ran = await settlement(*arguments, url=url)
    assert (ran.code, script.requests) == (2, [])
    assert ran.err or ran.out.startswith("Usage:")


async def test_a_batch_is_not_started_without_a_terminal_for_the_confirmation(serve_script: ServeScript) -> None:
    preview = {"count": 1, "totals": [], "oldestAcceptedAt": None, "newestAcceptedAt": None}
    url, script = await serve_script(json_answer(json.dumps(preview)))
    ran = await settlement("batch-retry", "start", "--company", "7", *WHY, url=url, stdin=b"y\n")
    assert (ran.code, [request.method for request in script.requests]) == (2, ["GET"])
    assert "--yes" in ran.err


async def test_every_field_of_an_order_has_an_option(serve_script: ServeScript) -> None:
    url, script = await serve_script(json_answer("{}"))
    body = order(metadata='{"a":1}', amount="-12.500", operationType="ABNORMAL_OVERTRADING", amountDigits=3)
    assert set(body) == set(AdjustRequest.model_fields)
    names = {name: "--" + "".join(f"-{c.lower()}" if c.isupper() else c for c in name) for name in body}
    options = [part for name, value in body.items() for part in (names[name], str(value))]
    await settlement("submit", *options, "--company", "7", "--trace", "t-1", "--wait", "3", url=url)
    (request,) = script.requests
    assert json.loads(request.body) == body
    assert {name: request.headers.get(name) for name in ("companyid", "trace", "prefer")} == {
        "companyid": "7",
        "trace": "t-1",
        "prefer": "wait=3",
    }


async def test_an_order_from_a_file_is_sent_unchanged(serve_script: ServeScript, tmp_path: Path) -> None:
    """The content is not parsed or changed: neither an amount nor a repeated name."""
    url, script = await serve_script(json_answer("{}"))
    unusual = b'{"amount": 1.10, "amount":"1.10",\n "x": "\\u00e9"}\n'
    file = tmp_path / "order.json"
    file.write_bytes(unusual)
    await settlement("submit", "--file", str(file), url=url)
    await settlement("submit", "--file", "-", url=url, stdin=unusual)
    assert [request.body for request in script.requests] == [unusual, unusual]


PROGRAM_OPTIONS = st.one_of(
    st.sampled_from(FLAGS).map(lambda flag: [flag]),
    st.tuples(st.sampled_from(OPTIONS_WITH_VALUE), st.sampled_from(["x", "-", "--json", "list"])).map(list),
    st.sampled_from(OPTIONS_WITH_VALUE).map(lambda option: [f"{option}=x"]),
)
OTHER_ARGUMENTS = st.sampled_from([["list"], ["--limit", "5"], ["--note=--json"], ["-"], ["--all"]])


@given(
    st.lists(st.tuples(st.booleans(), PROGRAM_OPTIONS, OTHER_ARGUMENTS)),
    st.lists(PROGRAM_OPTIONS | OTHER_ARGUMENTS, max_size=3),
)
def test_program_options_are_moved_to_the_front_and_the_rest_keeps_its_order(
    parts: list[tuple[bool, list[str], list[str]]], after_dashes: list[list[str]]
) -> None:
    tail = ["--", *(each for part in after_dashes for each in part)]
    own = [each for is_program_option, option, _ in parts if is_program_option for each in option]
    others = [each for is_program_option, _, other in parts if not is_program_option for each in other]
    line = [each for is_program_option, option, other in parts for each in (option if is_program_option else other)]
    assert program_options_first([*line, *tail]) == [*own, *others, *tail]


def test_program_options_may_be_anywhere_except_after_two_dashes() -> None:
    assert program_options_first(["list", "--json", "--limit", "5", "--url", "u"]) == [
        "--json",
        "--url",
        "u",
        "list",
        "--limit",
        "5",
    ]
    assert program_options_first(["show", "--", "--json"]) == ["show", "--", "--json"]
    assert program_options_first(["retry", "--note=--json"]) == ["retry", "--note=--json"]


async def test_the_last_of_a_repeated_option_counts(serve_script: ServeScript, unreachable_url: str) -> None:
    url, _ = await serve_script(json_answer(EXPOSURE.model_dump_json()))
    ran = await settlement("--url", unreachable_url, "exposure", "--url", url, url=unreachable_url)
    assert ran.code == 0


async def test_ctrl_c_is_130_and_says_that_the_batch_goes_on(serve_script: ServeScript) -> None:
    batch: dict[str, object] = {
        "batchId": "B-1", "state": "RUNNING", "operator": "o", "keyId": None, "reasonCode": "OTHER", "note": "n",
        "selection": {"companyId": 7}, "ratePerS": 1, "createdAt": "2026-01-05T03:10:00Z", "endedAt": None,
        "count": 2, "totals": [], "outcomes": {"PENDING": 2}, "states": {"ABORTED": 2},
    }  # fmt: skip
    url, _ = await serve_script(json_answer(json.dumps(batch)))
    async with terminal("batch-retry", "status", "B-1", "--follow", url=url) as screen:
        await screen.shows("0/2")
        screen.interrupts()
        ran = await screen.ends()
    assert ran.code == 130
    assert "the batch goes on; stop it with: settlement batch-retry stop B-1" in ran.out


async def test_ctrl_c_during_a_request_prints_nothing(serve_script: ServeScript) -> None:
    url, script = await serve_script(hanging())
    async with terminal("exposure", url=url) as screen:
        while not script.requests:
            await asyncio.sleep(0.02)
        screen.interrupts()
        ran = await screen.ends()
    assert (ran.code, ran.out.replace("^C", "").strip()) == (130, "")


async def test_a_closed_reader_is_not_an_internal_error(serve_script: ServeScript) -> None:
    item = json.dumps({"x": "y" * 1000})
    url, _ = await serve_script(json_answer(f'{{"items":[{",".join([item] * 2000)}],"nextCursor":null}}'))
    read_end, write_end = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "list", "--json", env=environment(url), cwd=ROOT, stdout=write_end, stderr=asyncio.subprocess.PIPE
    )
    os.close(write_end)
    os.close(read_end)
    _, err = await process.communicate()
    assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize("form", [["--json"], []], ids=["json", "plain"])
async def test_characters_that_the_encoding_lacks_are_not_fatal(serve_script: ServeScript, form: list[str]) -> None:
    body = EXPOSURE.model_dump(mode="json")
    body["totals"][0]["currency"] = "\u00e9\u4e2d"
    url, _ = await serve_script(json_answer(json.dumps(body, ensure_ascii=False)))
    ran = await settlement("exposure", *form, url=url, PYTHONIOENCODING="ascii")
    assert ran.code == 0
    assert ("\u00e9\u4e2d" in ran.out) if form else (r"\xe9\u4e2d" in ran.out)


async def test_an_internal_error_is_one_message_and_70() -> None:
    broken = "import cli.commands.exposure, cli.session\ncli.session.Session.api = property(lambda _: 1 / 0)\n"
    source = f"{broken}import sys\nfrom cli.app import run\nsys.exit(run(['exposure']))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", source, env=environment(), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert process.returncode == 70
    assert err.decode().startswith("error: internal error: ZeroDivisionError")
    assert "Traceback" not in err.decode()


@pytest.mark.parametrize("arguments", [["--help"], ["submit", "--help"], ["batch-retry", "start", "-h"]], ids=" ".join)
async def test_help_is_plain_text_and_sends_no_request(arguments: list[str]) -> None:
    ran = await settlement(*arguments, url="http://api.invalid", FORCE_COLOR="1")
    assert ran.code == 0
    assert ran.out.startswith("Usage: settlement")
    assert "\x1b" not in ran.out


async def test_version_sends_no_request() -> None:
    plain, as_json = await settlement("version"), await settlement("version", "--json")
    assert (plain.code, as_json.json()) == (0, {"version": plain.out.strip()})


@pytest.mark.parametrize("number", ["a/b", "..", "%2F", " ", "\u8ba2\u5355", "a?b#c"])
async def test_the_number_is_percent_encoded_in_every_path(serve_script: ServeScript, number: str) -> None:
    url, script = await serve_script(json_answer("{}"))
    for command in (["show", number], ["explain", number], ["retry", number, *WHY]):
        await settlement(*command, url=url)
    paths = [request.path for request in script.requests]
    whole = f"/v1/settlements/{segment_of(number)}"
    assert paths == [whole, f"{whole}/explain", f"{whole}/cancel-adjust-retries"]


@pytest.mark.parametrize("time", ["2026-01-05T03:10 08:00", "2026-01-05T03:10%2B08:00"])
async def test_a_time_copied_from_a_url_is_refused_with_a_hint_about_its_plus(time: str) -> None:
    ran = await settlement("list", "--from", time)
    assert ran.code == 2
    assert "%2B" in ran.err


CHOICES: list[tuple[list[str], type[StrEnum]]] = [
    (["list", "--state"], State),
    (["list", "--cancel-result"], CancelResult),
    (["exposure", "--by"], ExposureBy),
    (["findings", "--status"], StatusFilter),
    (["batch-retry", "preview", "--cause"], Rule),
    (["batch-retry", "start", "--note", "n", "--reason"], RetryReason),
    (["retry", "ORD-1", "--note", "n", "--reason"], RetryReason),
    (["resolve", "ORD-1", "--note", "n", "--reference", "r", "--reason"], ResolveReason),
    (["keys", "create", "--companies", "1", "--client", "o", "--role"], Role),
    (["submit", "--operation-type"], OperationType),
]


@pytest.mark.parametrize(("arguments", "choices"), CHOICES, ids=str)
async def test_an_invalid_choice_is_refused_with_the_list_of_choices(
    arguments: list[str], choices: type[StrEnum]
) -> None:
    ran = await settlement(*arguments, "NOWHERE\x1b", url="http://api.invalid")
    refusal = ran.err.splitlines()[-1]
    assert ran.code == 2
    assert refusal.endswith(f"Invalid value for '{arguments[-1]}': 'NOWHERE\\\\x1b' is not one of {', '.join(choices)}")
    command = [each for each in arguments[:2] if each.islower() and not each.startswith("-")]
    assert ", ".join(choices) in " ".join((await settlement(*command, "--help")).out.split())


def _callbacks(of: typer.Typer) -> Iterator[Callable[..., object]]:
    yield from (each.callback for each in of.registered_commands if each.callback)
    for group in of.registered_groups:
        yield from _callbacks(group.typer_instance) if group.typer_instance else ()


def _enum_of(annotation: object) -> type[StrEnum] | None:
    found = [
        each for each in (annotation, *get_args(annotation)) if isinstance(each, type) and issubclass(each, StrEnum)
    ]
    return found[0] if found else None


def test_every_option_with_choices_is_tested() -> None:
    """None uses the choices of the library, whose error messages differ."""
    options = [
        (_enum_of(get_args(annotated)[0]), get_args(annotated)[1])
        for callback in _callbacks(app)
        for annotated in get_type_hints(callback, include_extras=True).values()
        if get_origin(annotated) is Annotated
    ]
    taken = [(choices, option.parser) for choices, option in options if choices is not None]
    assert all(parser is not None for _, parser in taken)
    assert {choices for choices, _ in taken} == {choices for _, choices in CHOICES}
