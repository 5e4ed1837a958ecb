"""The API starts nothing in a Temporal that its ledger does not belong to; it serves what it can read."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr
from temporalio.client import Client

from activities.temporal_guard import identity_of
from api.adopt_temporal import AdoptionRefusedError, adopt
from config.settings import Settings
from ledger import TemporalBinding, TemporalIdentity
from tests.api.batching import abort, begin
from tests.api.doors import Door, open_real_door
from tests.support.ledgers import FlakyLedger
from tests.support.orders import order

ROOT = Path(__file__).parents[2]
GONE = TemporalIdentity(cluster_id="c-gone", namespace="default", namespace_id="n-gone")


@pytest_asyncio.fixture
async def home(ledger: FlakyLedger) -> TemporalBinding:
    """Have the test's ledger belong to a Temporal that is gone."""
    home = TemporalBinding(ledger.engine)
    await home.adopt_first(GONE, "worker", datetime.now(UTC))
    return home


@pytest_asyncio.fixture
async def wrong_door(home: TemporalBinding, ledger: FlakyLedger, temporal: Client) -> AsyncIterator[Door]:  # noqa: ARG001
    async with open_real_door(ledger, temporal) as opened:
        yield opened


async def started(door: Door, workflow_id: str) -> bool:
    listed = door.temporal.list_workflows(f"WorkflowId = '{workflow_id}'")
    return bool([each async for each in listed])


async def test_the_first_start_of_a_workflow_adopts(door: Door) -> None:
    body = order()
    assert (await door.post(body)).status_code == 202
    assert await TemporalBinding(door.ledger.engine).read() == await identity_of(door.temporal)


@pytest.mark.parametrize("headers", [{}, {"prefer": "wait=2"}])
async def test_an_order_is_accepted_and_not_started(wrong_door: Door, headers: dict[str, str]) -> None:
    """In doubt for its caller, as with a Temporal that is away: the order must not proceed."""
    body = order()
    for _ in range(2):
        answer = await wrong_door.post(body, **headers)
        assert (answer.status_code, answer.json()["code"]) == (503, "temporal-unavailable")
        assert "n-gone" not in answer.text, "what the two are is told to operators, in the log"
    assert not await started(wrong_door, f"settlement-{body['requestUniqueNo']}")
    assert (await wrong_door.get(body["requestUniqueNo"])).json()["state"] == "ADJUSTING"


async def test_operators_acts_and_rounds_are_refused_and_a_batch_waits(wrong_door: Door) -> None:
    (number,) = await abort(wrong_door, 1)
    body = {"reasonCode": "BROKER_RECOVERED", "note": "it is back"}
    answers = [
        await wrong_door.act(number, "cancel-adjust-retries", body),
        await wrong_door.http.post("/v1/reconciliation/rounds"),
    ]
    assert [(each.status_code, each.json()["code"]) for each in answers] == [(503, "temporal-unavailable")] * 2
    batch = (await begin(wrong_door, 1)).json()
    assert batch["state"] == "RUNNING"
    assert not await started(wrong_door, f"batch-retry-{batch['batchId']}")


async def test_it_is_not_ready_and_says_why(wrong_door: Door) -> None:
    answer = await wrong_door.http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ok": False, "ledger": True, "temporal": True, "temporal_identity": "WRONG"}


async def test_it_works_again_once_the_ledger_was_given_to_this_temporal(
    wrong_door: Door, home: TemporalBinding
) -> None:
    assert (await wrong_door.post(order())).status_code == 503
    await home.move(GONE, await identity_of(wrong_door.temporal), "ops", datetime.now(UTC))
    await wrong_door.app.state.services.temporal.check()
    assert (await wrong_door.post(order())).status_code == 202
    assert (await wrong_door.http.get("/readyz")).status_code == 200


async def test_a_temporal_that_is_replaced_while_the_api_runs_is_noticed(door: Door) -> None:
    assert (await door.post(order())).status_code == 202
    home = TemporalBinding(door.ledger.engine)
    await home.move(await identity_of(door.temporal), GONE, "a test", datetime.now(UTC))
    async with asyncio.timeout(10):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("api.temporal_access.CHECK_EVERY_S", 0.01)
            watch = asyncio.create_task(door.app.state.services.temporal.watch())
            while (await door.http.get("/readyz")).status_code == 200:
                await asyncio.sleep(0.01)
            watch.cancel()
    assert (await door.post(order())).json()["code"] == "temporal-unavailable"


@dataclass
class Done:
    """How a process ended."""

    code: int | None
    out: str
    err: str


async def process(door: Door, tmp_path: Path, *arguments: str) -> Done:
    """Run a program of ours on the test's ledger and Temporal until it ends."""
    ours = {
        "SETTLEMENT_STATE_DIR": str(tmp_path),
        "SETTLEMENT_DATABASE_URL": str(door.ledger.engine.url),
        "TEMPORAL_ADDRESS": door.temporal.service_client.config.target_host,
    }
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SETTLEMENT_", "TEMPORAL_"))}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        cwd=ROOT,
        env=env | ours,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    return Done(child.returncode, out.decode(), err.decode())


@pytest.mark.parametrize("arguments", [("-m", "api"), ("worker.py",)], ids=["api", "worker"])
async def test_a_process_refuses_to_start_with_one_line_that_names_both_and_the_command(
    wrong_door: Door, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = await process(wrong_door, tmp_path, *arguments)
    assert done.code == 1
    (line,) = [each for each in done.err.splitlines() if each and not each.startswith("{")]
    found = await identity_of(wrong_door.temporal)
    for part in ("n-gone", "c-gone", found.namespace_id, found.cluster_id, "python -m api.adopt_temporal"):
        assert part in line
    assert "Traceback" not in done.err + done.out


async def test_the_command_shows_what_it_would_do_and_does_it_when_confirmed(
    wrong_door: Door, home: TemporalBinding, tmp_path: Path
) -> None:
    await abort(wrong_door, 3)
    found = await identity_of(wrong_door.temporal)
    command = ("-m", "api.adopt_temporal")
    shown = await process(wrong_door, tmp_path, *command)
    assert (shown.code, shown.out) == (1, "")
    for part in ("n-gone", found.namespace_id, "3 ABORTED", f"--confirm {found.namespace_id}", "Nothing was changed"):
        assert part in shown.err
    assert (await process(wrong_door, tmp_path, *command, "--confirm", "n-gone")).code == 1
    assert await home.read() == GONE
    done = await process(wrong_door, tmp_path, *command, "--confirm", found.namespace_id)
    assert (done.code, done.err) == (0, "")
    assert await home.read() == found
    again = await process(wrong_door, tmp_path, *command)
    assert (again.code, "nothing to do" in again.out) == (0, True)


async def test_the_command_says_which_side_does_not_answer(tmp_path: Path, ledger: FlakyLedger, dead_port: int) -> None:
    settings = Settings(database_url=SecretStr(str(ledger.engine.url)), state_dir=tmp_path, temporal_port=dead_port)
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("TEMPORAL_ADDRESS", raising=False)
        with pytest.raises(AdoptionRefusedError, match="Temporal does not tell its identity"):
            await adopt(settings, None)
