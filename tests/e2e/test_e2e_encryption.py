"""With payload keys, the database of Temporal shows nothing private; keys rotate; operators still read."""

import asyncio
import base64
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect
from temporalio.client import Client

from encryption.codec import KEY_ID_FIELD
from settlement.ids import workflow_id
from settlement.states import CancelResult, State
from stack.parts import Stack
from tests.e2e.conftest import System, e2e_settings, faulty, restarted, running
from tests.e2e.test_e2e_access import PEPPER, Caller, first_key
from tests.e2e.test_e2e_temporal_ui import page  # noqa: F401 - a fixture
from tests.e2e.test_e2e_temporal_ui import pytestmark as needs_chromium
from tests.support.binaries import beside_python
from tests.support.forks import PROGRAMS
from tests.support.orders import id_of
from tests.support.payload_keys import write_keys
from tests.support.polling import until

USER, CUSTOMER, ADDRESS, AMOUNT = "jane-q-roe-marker", "customer-90210-marker", "198.51.100.23", "8765.43"
NOTE, ERROR_TEXT = "note-of-an-operator-marker", "cancel adjust UNKNOWN"
PRIVATE: dict[str, Any] = {"userName": USER, "thirdServerCode": CUSTOMER, "ip": ADDRESS, "amount": AMOUNT}
MARKERS = (USER, CUSTOMER, ADDRESS, AMOUNT, NOTE, ERROR_TEXT)
RESOLVE = {"reasonCode": "REVERSED_BY_BROKER", "note": NOTE, "brokerReference": "B-1"}
RETRY = {"reasonCode": "BROKER_RECOVERED", "note": NOTE}


def private(adjust: str | None = None, **faults: Any) -> dict[str, Any]:  # noqa: ANN401 - the simulator's own options
    """Return an order with markers, which may ask the simulator to misbehave."""
    return faulty(adjust, **faults) | PRIVATE


def aborting(system: System) -> dict[str, Any]:
    """Return an order whose first round of cancels fails."""
    return private("http_500_applied", cancel="fail", times=system.stack.settings.cancel_max_attempts)


@pytest.mark.parametrize("one_process", ["off", "on"])
async def test_temporals_database_contains_nothing_private(tmp_path: Path, one_process: str) -> None:
    keys = write_keys(tmp_path / "keys", "k1", active="k1")
    found = await markers_after_a_run(tmp_path, payload_keys=keys, one_process=one_process)
    assert found == []


async def test_without_the_codec_the_same_search_finds_everything(tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing."""
    assert await markers_after_a_run(tmp_path) == list(MARKERS)


async def markers_after_a_run(folder: Path, **fields: Any) -> list[str]:  # noqa: ANN401 - any setting
    """Settle, reject, abort and resolve; stop the server; return the markers that its database files contain."""
    async with running(e2e_settings(folder / "state", **fields)) as system:
        settled, rejected, aborted = [
            (await system.post(each)).body["requestUniqueNo"]
            for each in (private(), private("reject"), aborting(system))
        ]
        assert (await system.ends(settled))["state"] == State.SETTLED
        assert (await system.ends(rejected))["state"] == State.CANCELLED
        assert (await system.ends(aborted))["state"] == State.ABORTED
        assert (await system.act(aborted, "resolution", RESOLVE)).status == 200
        await until(lambda: is_in(system, aborted, State.RESOLVED))
        state_dir = system.stack.state_dir
    files = [path for path in state_dir.glob("temporal.db*") if path.is_file()]
    content = b"".join(path.read_bytes() for path in files)
    assert settled.encode() in content, "the search would find what is there"
    return [marker for marker in MARKERS if marker.encode() in content]


async def is_in(system: System, number: str, state: State) -> bool:
    return bool((await system.get(number)).body["state"] == state)


@pytest_asyncio.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Run a stack as `make up` does, with the key k1."""
    folder = tmp_path_factory.mktemp("encrypted")
    write_keys(folder, "k1", active="k1")
    stack = Stack(e2e_settings(folder / "state", payload_keys=folder / "payload-keys.toml"), hide_unsafe_actions=True)
    await stack.start()
    try:
        async with aiohttp.ClientSession() as http:
            yield System(stack, http)
    finally:
        await stack.stop()


async def keys_used(system: System, number: str) -> list[str]:
    """Return the ids of the keys in the history of a settlement, in the order of their first use."""
    client = await Client.connect(system.stack.temporal_address)
    history = await client.get_workflow_handle(workflow_id(id_of(number))).fetch_history()
    content = b"".join(event.SerializeToString() for event in history.events)
    return sorted(
        (each for each in ("k1", "k2") if each.encode() in key_ids(content)),
        key=lambda each: content.index(each.encode()),
    )


def key_ids(content: bytes) -> set[bytes]:
    """Return the values of the metadata field with the key id in serialized payloads."""
    name = KEY_ID_FIELD.encode()
    parts = content.split(name)[1:]
    # A map entry: the tag of its value, the length, the value.
    return {part[2 : 2 + part[1]] for part in parts}


async def rotated(system: System, *key_ids: str, active: str) -> None:
    """Replace the file of keys, and wait until API and worker have loaded it."""
    parts = {part.name: part for part in system.stack.ours}
    before = {name: part.tail().count("configuration file loaded") for name, part in parts.items()}
    assert system.stack.settings.payload_keys is not None
    write_keys(system.stack.settings.payload_keys.parent, *key_ids, active=active)

    async def loaded() -> bool:
        return all(part.tail().count("configuration file loaded") > before[name] for name, part in parts.items())

    await until(loaded, what="the keys to be loaded")


async def rehearse(system: System, *key_ids: str) -> tuple[int, str]:
    """Rehearse with a file that has only some keys."""
    path = write_keys(system.stack.state_dir / "-".join(key_ids), *key_ids, active=key_ids[0])
    env = {"TEMPORAL_ADDRESS": system.stack.temporal_address, "SETTLEMENT_PAYLOAD_KEYS": str(path)}
    code, out, _ = await PROGRAMS.run("rehearsal", (), env)
    return code, out


async def test_a_key_is_rotated_while_a_settlement_is_aborted_and_removed_after_its_end(shared: System) -> None:
    number = (await shared.post(aborting(shared))).body["requestUniqueNo"]
    assert (await shared.ends(number))["state"] == State.ABORTED
    assert await keys_used(shared, number) == ["k1"]

    await rotated(shared, "k1", "k2", active="k2")
    code, out = await rehearse(shared, "k2")
    assert code == 1
    assert f"settlement {id_of(number)}" in out
    assert (await rehearse(shared, "k1", "k2"))[0] == 0
    assert (await shared.act(number, "cancel-adjust-retries", RETRY)).status in {200, 202}
    ended = await until(lambda: ended_as(shared, number, State.CANCELLED))
    assert ended["cancelResult"] == CancelResult.REVERSED
    assert await keys_used(shared, number) == ["k1", "k2"]

    await rotated(shared, "k2", active="k2")
    later = (await shared.post(private())).body
    assert later["state"] == State.SETTLED
    assert await keys_used(shared, later["requestUniqueNo"]) == ["k2"]


async def ended_as(system: System, number: str, state: State) -> dict[str, Any] | None:
    body = (await system.get(number)).body
    return body if body["state"] == state else None


async def command_line(system: System, number: str, *options: str) -> tuple[int, str]:
    """Show a workflow with the command `temporal`; return its exit code and the data of all payloads."""
    process = await asyncio.create_subprocess_exec(
        beside_python("temporal"),
        *("workflow", "show", "--address", system.stack.temporal_address, "--workflow-id", workflow_id(id_of(number))),
        *("--output", "json", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"HOME": str(system.stack.state_dir)},
    )
    out, _ = await process.communicate()
    data = re.findall('"data": "(.+)"', out.decode())
    return process.returncode or 0, b"".join(base64.b64decode(each) for each in data).decode(errors="replace")


@pytest_asyncio.fixture(scope="module")
async def locked(shared: System) -> AsyncIterator[tuple[System, str, str]]:
    """Yield the stack whose API asks for keys, the number of a settled order, and a viewer's key."""
    number = (await shared.post(private())).body["requestUniqueNo"]
    async with restarted(shared.stack.api, auth="on", api_key_pepper=PEPPER):
        admin = Caller(shared, await first_key(shared, "boss"))
        viewer = await admin.key("night-shift", "viewer")
        assert viewer.api_key is not None
        yield shared, number, viewer.api_key


async def test_the_command_line_shows_clear_text_only_with_the_codec_server_and_a_key(
    locked: tuple[System, str, str],
) -> None:
    system, number, key = locked
    code, out = await command_line(system, number)
    assert (code, USER in out) == (0, False)
    endpoint = ("--codec-endpoint", f"{system.stack.api_url}/v1/codec")
    _, out = await command_line(system, number, *endpoint)
    assert USER not in out
    code, out = await command_line(system, number, *endpoint, "--codec-auth", f"Bearer {key}")
    assert (code, USER in out, AMOUNT in out) == (0, True, True)


@needs_chromium
@pytest.mark.prove("browser")
async def test_the_temporal_ui_shows_ciphertext_until_the_browser_has_logged_in(
    locked: tuple[System, str, str],
    page: Page,  # noqa: F811 - the fixture
) -> None:
    system, number, key = locked
    address = f"{system.stack.ui_url}/namespaces/default/workflows/{workflow_id(id_of(number))}"
    await page.goto(address, wait_until="load")
    await expect(page.get_by_role("main").get_by_role("status")).to_have_text("Completed")
    await expect(page.locator(".cm-content").nth(2)).to_contain_text(re.compile("[A-Za-z0-9+/]{100}"))
    assert USER not in await page.content()

    await page.goto(f"{system.stack.api_url}/v1/codec/session", wait_until="load")
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url(f"{system.stack.ui_url}/**")
    await page.goto(address, wait_until="load")
    await expect(page.get_by_text(USER).first).to_be_attached()
    await expect(page.get_by_text(AMOUNT).first).to_be_attached()
