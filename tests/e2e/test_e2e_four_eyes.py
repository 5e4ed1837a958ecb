"""Two operators close a large case at the command line; the key of the signatures stays a secret."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from pydantic import SecretStr
from temporalio.client import Client

from config.shared_secrets import UPDATE_KEY_FILE
from settlement.ids import workflow_id
from settlement.states import State
from tests.e2e.conftest import System, e2e_settings, faulty, running
from tests.e2e.test_e2e_access import PEPPER, Caller, first_key, text_of
from tests.support.cli import Ran, settlement
from tests.support.orders import id_of


@pytest_asyncio.fixture
async def two_clients(tmp_path: Path) -> AsyncIterator[System]:
    """Return a stack in which every resolution needs two clients. Its ledger is its own, because it keeps the keys."""
    pepper = SecretStr(PEPPER)
    async with running(
        e2e_settings(tmp_path / "state", auth="on", api_key_pepper=pepper, four_eyes_above="*=0")
    ) as own:
        yield own


class Operator:
    """An operator at the command line, with a key of their client."""

    def __init__(self, url: str, key_file: Path) -> None:
        self._url = url
        self._key_file = key_file

    async def runs(self, *arguments: str) -> Ran:
        """Run a command."""
        return await settlement(*arguments, "--api-key-file", str(self._key_file), url=self._url)


async def operator(system: System, admin: Caller, client: str, folder: Path) -> Operator:
    """Create a key of a client and write it into a file."""
    key_file = folder / client
    key_file.write_text((await admin.key(client, "operator")).api_key or "")
    key_file.chmod(0o600)
    return Operator(system.stack.api_url, key_file)


async def test_one_client_proposes_and_another_approves(two_clients: System, tmp_path: Path) -> None:
    system = two_clients
    admin = Caller(system, await first_key(system, "boss"))
    platform = await admin.key("platform-1", "platform")
    first, second = [await operator(system, admin, client, tmp_path) for client in ("night", "day")]
    body = faulty("hang_applied", cancel="fail", times=9)
    number = body["requestUniqueNo"]
    assert (await platform.ask("POST", "/v1/settlements", body))[0] == 201
    await platform.sees(number, State.ABORTED)

    resolution = ("resolve", number, "--reason", "REVERSED_BY_BROKER", "--note", "by hand", "--reference", "ticket 17")
    proposed = await first.runs(*resolution)
    assert (proposed.code, proposed.fields()["state"], proposed.fields()["proposedBy"]) == (0, "ABORTED", "night")
    assert f"settlement approve {number} --system default --proposal 0" in proposed.err
    explained = await second.runs("explain", number)
    assert "night has proposed REVERSED_BY_BROKER (proposal 0, broker's reference: ticket 17)" in explained.out
    approval = ("approve", number, "--proposal", "0", "--note", "seen in the statement")
    own = await first.runs(*approval)
    assert (own.code != 0, "second-operator-required" in own.err) == (True, True)
    rejected = await second.runs("withdraw", number, "--proposal", "0", "--note", "another order")
    assert (rejected.code, rejected.fields()["proposalNo"]) == (0, "")
    assert (await second.runs(*approval)).code != 0
    assert (await first.runs(*resolution)).code == 0
    approved = await second.runs("approve", number, "--proposal", "2", "--note", "seen in the statement")
    assert (approved.code, approved.fields()["state"]) == (0, "RESOLVED")
    ended = await platform.sees(number, State.RESOLVED)
    assert [(act["kind"], act["operator"]) for act in ended["operatorActions"]] == [
        ("PROPOSE_RESOLUTION", "night"),
        ("WITHDRAW_PROPOSAL", "day"),
        ("PROPOSE_RESOLUTION", "night"),
        ("APPROVE_RESOLUTION", "day"),
    ]
    await _check_secrecy(system, number)


async def _check_secrecy(system: System, number: str) -> None:
    """Check that the key of the signatures is in no log, metric or history."""
    key = (system.stack.settings.state_dir / UPDATE_KEY_FILE).read_text().strip()
    client = await Client.connect(system.stack.temporal_address)
    events = (await client.get_workflow_handle(workflow_id(id_of(number))).fetch_history()).events
    history = b"".join(event.SerializeToString() for event in events)
    assert b"earlierActions" in history
    assert len(key) >= 32
    assert key.encode() not in history
    assert key not in text_of(system.stack.log_dir)
