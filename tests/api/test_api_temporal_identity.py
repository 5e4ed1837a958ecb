"""The API starts nothing in a Temporal that its ledger does not belong to. Reads from the ledger still work."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr
from temporalio.client import Client

from activities.temporal_guard import identity_of
from api.bind_temporal import BindingRefusedError, bind
from config.settings import Settings
from ledger import TemporalBinding, TemporalIdentity
from tests.api.api_harness import ApiHarness, open_api_with_temporal
from tests.api.batch_requests import add_aborted, post_batch
from tests.support.forks import PROGRAMS
from tests.support.ledgers import FlakyLedger
from tests.support.orders import order

GONE = TemporalIdentity(cluster_id="c-gone", namespace="default", namespace_id="n-gone")


@pytest_asyncio.fixture
async def binding(ledger: FlakyLedger) -> TemporalBinding:
    """Bind the ledger of the test to a Temporal that no longer exists."""
    binding = TemporalBinding(ledger.engine)
    await binding.bind_first(GONE, "worker", datetime.now(UTC))
    return binding


@pytest_asyncio.fixture
async def api_with_wrong_temporal(
    binding: TemporalBinding,  # noqa: ARG001 - binds the ledger
    ledger: FlakyLedger,
    temporal: Client,
) -> AsyncIterator[ApiHarness]:
    async with open_api_with_temporal(ledger, temporal) as opened:
        yield opened


async def started(api: ApiHarness, workflow_id: str) -> bool:
    listed = api.temporal.list_workflows(f"WorkflowId = '{workflow_id}'")
    return bool([each async for each in listed])


async def test_the_first_start_of_a_workflow_binds_the_ledger(api: ApiHarness) -> None:
    body = order()
    assert (await api.post(body)).status_code == 202
    assert await TemporalBinding(api.ledger.engine).read() == await identity_of(api.temporal)


@pytest.mark.parametrize("headers", [{}, {"prefer": "wait=2"}])
async def test_an_order_is_accepted_and_not_started(
    api_with_wrong_temporal: ApiHarness, headers: dict[str, str]
) -> None:
    """As with an unreachable Temporal, the outcome is in doubt: the order must not proceed."""
    body = order()
    for _ in range(2):
        answer = await api_with_wrong_temporal.post(body, **headers)
        assert (answer.status_code, answer.json()["code"]) == (503, "temporal-unavailable")
        assert "n-gone" not in answer.text, "the identities are only in the log"
    assert not await started(api_with_wrong_temporal, f"settlement-{body['requestUniqueNo']}")
    assert (await api_with_wrong_temporal.get(body["requestUniqueNo"])).json()["state"] == "ADJUSTING"


async def test_operator_actions_and_rounds_are_rejected_and_a_batch_waits(api_with_wrong_temporal: ApiHarness) -> None:
    (number,) = await add_aborted(api_with_wrong_temporal, 1)
    body = {"reasonCode": "BROKER_RECOVERED", "note": "it is back"}
    answers = [
        await api_with_wrong_temporal.act(number, "cancel-adjust-retries", body),
        await api_with_wrong_temporal.http.post("/v1/reconciliation/rounds"),
    ]
    assert [(each.status_code, each.json()["code"]) for each in answers] == [(503, "temporal-unavailable")] * 2
    batch = (await post_batch(api_with_wrong_temporal, 1)).json()
    assert batch["state"] == "RUNNING"
    assert not await started(api_with_wrong_temporal, f"batch-retry-{batch['batchId']}")


async def test_readyz_reports_the_wrong_temporal(api_with_wrong_temporal: ApiHarness) -> None:
    answer = await api_with_wrong_temporal.http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "ok": False,
        "ledger": True,
        "temporal": True,
        "temporal_identity": "WRONG",
        "external_systems": None,
        "order_limits": None,
        "payload_keys": None,
    }


async def test_the_api_works_again_after_the_ledger_was_bound_to_this_temporal(
    api_with_wrong_temporal: ApiHarness, binding: TemporalBinding
) -> None:
    assert (await api_with_wrong_temporal.post(order())).status_code == 503
    await binding.move(GONE, await identity_of(api_with_wrong_temporal.temporal), "ops", datetime.now(UTC))
    await api_with_wrong_temporal.app.state.services.temporal.check()
    assert (await api_with_wrong_temporal.post(order())).status_code == 202
    assert (await api_with_wrong_temporal.http.get("/readyz")).status_code == 200


async def test_a_temporal_that_is_replaced_while_the_api_runs_is_detected(api: ApiHarness) -> None:
    assert (await api.post(order())).status_code == 202
    binding = TemporalBinding(api.ledger.engine)
    await binding.move(await identity_of(api.temporal), GONE, "a test", datetime.now(UTC))
    async with asyncio.timeout(10):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("api.temporal_access.CHECK_EVERY_S", 0.01)
            watch = asyncio.create_task(api.app.state.services.temporal.watch())
            while (await api.http.get("/readyz")).status_code == 200:
                await asyncio.sleep(0.01)
            watch.cancel()
    assert (await api.post(order())).json()["code"] == "temporal-unavailable"


@dataclass
class Done:
    """How a process ended."""

    code: int
    out: str
    err: str


async def process(api: ApiHarness, tmp_path: Path, program: str, *arguments: str) -> Done:
    """Run one of our programs with the ledger and the Temporal of the test until it ends."""
    env = {
        "SETTLEMENT_STATE_DIR": str(tmp_path),
        "SETTLEMENT_DATABASE_URL": str(api.ledger.engine.url),
        "TEMPORAL_ADDRESS": api.temporal.service_client.config.target_host,
    }
    return Done(*await PROGRAMS.run(program, arguments, env))


@pytest.mark.parametrize("program", ["api", "worker"])
async def test_a_process_does_not_start_and_names_both_identities_and_the_command(
    api_with_wrong_temporal: ApiHarness, tmp_path: Path, program: str
) -> None:
    done = await process(api_with_wrong_temporal, tmp_path, program)
    assert done.code == 1
    (line,) = [each for each in done.err.splitlines() if each and not each.startswith("{")]
    found = await identity_of(api_with_wrong_temporal.temporal)
    for part in ("n-gone", "c-gone", found.namespace_id, found.cluster_id, "python -m api.bind_temporal"):
        assert part in line
    assert "Traceback" not in done.err + done.out


async def test_the_command_previews_and_binds_after_confirmation(
    api_with_wrong_temporal: ApiHarness, binding: TemporalBinding, tmp_path: Path
) -> None:
    await add_aborted(api_with_wrong_temporal, 3)
    found = await identity_of(api_with_wrong_temporal.temporal)
    command = "api.bind_temporal"
    shown = await process(api_with_wrong_temporal, tmp_path, command)
    assert (shown.code, shown.out) == (1, "")
    for part in ("n-gone", found.namespace_id, "3 ABORTED", f"--confirm {found.namespace_id}", "Nothing was changed"):
        assert part in shown.err
    assert (await process(api_with_wrong_temporal, tmp_path, command, "--confirm", "n-gone")).code == 1
    assert await binding.read() == GONE
    done = await process(api_with_wrong_temporal, tmp_path, command, "--confirm", found.namespace_id)
    assert (done.code, done.err) == (0, "")
    assert await binding.read() == found
    again = await process(api_with_wrong_temporal, tmp_path, command)
    assert (again.code, "nothing to do" in again.out) == (0, True)


async def test_the_command_names_the_side_that_does_not_respond(
    tmp_path: Path, ledger: FlakyLedger, dead_port: int
) -> None:
    settings = Settings(database_url=SecretStr(str(ledger.engine.url)), state_dir=tmp_path, temporal_port=dead_port)
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("TEMPORAL_ADDRESS", raising=False)
        with pytest.raises(BindingRefusedError, match="the identity of Temporal cannot be read"):
            await bind(settings, None)
