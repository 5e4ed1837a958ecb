"""Batches that workers execute: reported, stopped, and begun while Temporal cannot be reached."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.reconciliation.repair import Reconciler
from activities.reconciliation.start_batches import StartBatches
from ledger import Batches
from settlement.batch_retry import BatchProgress
from settlement.ids import batch_workflow_id
from settlement.reconciliation import ScanTask
from settlement.states import State
from tests.api.api_harness import ApiHarness
from tests.api.batch_requests import (
    abort_by_outage,
    new_batch,
    read,
    wait_for_batch,
)
from tests.api.sockets import TcpProxy
from tests.support.batches import RecoveringExternalSystem
from tests.support.sagas import workers
from workflows.batch_retry.start import start_batch
from workflows.start import take_up


async def test_a_batch_is_executed_and_reported(api: ApiHarness) -> None:
    external = RecoveringExternalSystem()
    async with api.workers(external):
        numbers = await abort_by_outage(api, 4)
        external.away = False
        path = await new_batch(api, 4)
        done = await wait_for_batch(api, path, "DONE")
        for number in numbers:
            await api.wait_for_state(number, State.CANCELLED)
        acts = [(await api.get(number)).json()["operatorActions"] for number in numbers]
        stopped = (await api.http.post(f"{path}/stop")).json()
    assert done["outcomes"] == {"RETRIED": 4}
    report = (await read(api, f"{path}/items"))["items"]
    assert {(each["state"], each["cancelResult"]) for each in report} == {("CANCELLED", "REVERSED")}
    assert stopped["state"] == "DONE"
    assert (await read(api, path))["states"] == {"CANCELLED": 4}
    act = ("local", "broker is back", done["batchId"])
    assert [[(each["operator"], each["note"], each["batchId"]) for each in ones] for ones in acts] == [[act]] * 4


async def test_stop_ends_the_workflow_of_a_batch(api: ApiHarness, temporal: Client) -> None:
    """Its workflow reads in the ledger that the batch was stopped, and retries nothing."""
    external = RecoveringExternalSystem()
    async with api.workers(external):
        numbers = await abort_by_outage(api, 2)
    path = await new_batch(api, 2)
    await api.http.post(f"{path}/stop")
    batch_id = path.rpartition("/")[2]
    handle = temporal.get_workflow_handle(batch_workflow_id(batch_id), result_type=BatchProgress)
    async with api.workers(external):
        assert (await handle.result()).pending == 2
        for number in numbers:
            resource = (await api.get(number)).json()
            assert (resource["state"], resource["operatorActions"]) == ("ABORTED", [])


async def test_a_batch_started_without_temporal_is_executed_after_the_next_round(
    api_behind_proxy: ApiHarness, temporal_proxy: TcpProxy, temporal: Client
) -> None:
    """The worker starts it; the API is not asked again, and may still reach no Temporal."""
    engine = api_behind_proxy.ledger.engine
    starts = StartBatches(temporal, Batches(engine), Reconciler(temporal, engine, take_up), start_batch).start_batches
    async with begun_without_temporal(api_behind_proxy, temporal_proxy, temporal) as path:
        assert (await read(api_behind_proxy, path))["outcomes"] == {"PENDING": 2}
        scanned = await ActivityEnvironment().run(starts, ScanTask(round_started_at=datetime.now(UTC)))
        assert (scanned.checked, scanned.failed) == (1, 0)
        assert (await wait_for_batch(api_behind_proxy, path, "DONE"))["outcomes"] == {"RETRIED": 2}


@asynccontextmanager
async def begun_without_temporal(api: ApiHarness, line: TcpProxy, temporal: Client) -> AsyncIterator[str]:
    """Start a batch over two aborted settlements while only the workers reach Temporal. Yield its path."""
    external = RecoveringExternalSystem()
    await line.forward_to(temporal.service_client.config.target_host)
    async with workers(temporal, external, api.ledger):
        await abort_by_outage(api, 2)
        external.away = False
        await line.stop_answering()
        yield await new_batch(api, 2)
