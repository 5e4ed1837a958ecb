"""Terminated and deleted workflows and lost rows are found within one round and repaired."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client

from settlement.ids import workflow_id
from settlement.states import CancelResult, State
from tests.e2e.conftest import System, faulty, restarted
from tests.support.binaries import beside_python
from tests.support.orders import id_of
from tests.support.polling import until
from tests.support.tampering import unguarded_file

ROUND_S = 5


@pytest_asyncio.fixture(scope="module")
async def reconciled(system: System) -> AsyncIterator[System]:
    """Return a stack with a round of reconciliation every few seconds."""
    async with restarted(system.stack.worker, reconcile_every_s=ROUND_S):
        yield system


async def terminate(system: System, number: str) -> None:
    """Terminate a workflow with Temporal's command line, as by mistake."""
    command = ["workflow", "terminate", "--workflow-id", workflow_id(id_of(number)), "--reason", "by mistake"]
    process = await asyncio.create_subprocess_exec(
        beside_python("temporal"), *command, "--address", system.stack.temporal_address, stdout=asyncio.subprocess.PIPE
    )
    await process.communicate()
    assert process.returncode == 0


async def delete(system: System, number: str) -> None:
    """Delete a workflow from Temporal with its history."""
    client = await Client.connect(system.stack.temporal_address)
    execution = WorkflowExecution(workflow_id=workflow_id(id_of(number)))
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
    )


async def cancelling(system: System) -> str:
    """Create a settlement whose first cancel hangs at the external system."""
    body = faulty("http_500_applied", cancel="hang", times=1)
    await system.post(body)
    number = str(body["requestUniqueNo"])

    async def under_way() -> bool:
        return bool(await system.cancels(number)) and (await system.get(number)).body["state"] == State.CANCELLING

    await until(under_way, what="a cancel under way")
    return number


async def findings(system: System, number: str) -> list[dict[str, Any]]:
    """Return the findings about a settlement."""
    async with system.http.get(f"{system.stack.api_url}/v1/reconciliation/findings") as answer:
        return [each for each in (await answer.json())["items"] if each["requestUniqueNo"] == number]


async def repaired(system: System, number: str) -> dict[str, Any]:
    """Wait until a finding about a settlement is REPAIRED."""

    async def probe() -> dict[str, Any] | None:
        found = await findings(system, number)
        return found[0] if found and found[0]["status"] == "REPAIRED" else None

    return await until(probe, limit_s=90, what=f"a repaired finding about {number}")


async def ends_consistent(system: System, number: str) -> None:
    """Check that it ends CANCELLED with one adjust, one reversal, one cancel number and body, and a complete audit."""
    ended = await system.ends(number)
    assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, CancelResult.REVERSED)
    assert [act["kind"] for act in ended["operatorActions"]] == ["TAKE_UP"]
    books = await system.books(number)
    assert (books["timesApplied"], books["timesReversed"]) == (1, 1)
    assert len(await system.adjusts(number)) == 1
    cancels = await system.cancels(number)
    audited = [call for call in ended["calls"] if call["kind"]]
    assert len(audited) >= len(cancels) >= 2
    assert len({call["requestUniqueNo"] for call in cancels}) == 1
    assert len({call["body"] for call in cancels}) == 1


async def test_a_settlement_terminated_while_it_cancels_is_taken_up_with_the_same_cancel(reconciled: System) -> None:
    number = await cancelling(reconciled)
    await terminate(reconciled, number)
    finding = await repaired(reconciled, number)
    assert finding["kind"] == "WORKFLOW_ENDED_FROM_OUTSIDE"
    await ends_consistent(reconciled, number)


async def test_a_workflow_deleted_from_temporal_is_found_and_taken_up(reconciled: System) -> None:
    number = await cancelling(reconciled)
    await delete(reconciled, number)
    finding = await repaired(reconciled, number)
    assert finding["kind"] == "WORKFLOW_MISSING"
    await ends_consistent(reconciled, number)


async def test_a_row_that_a_restored_backup_lacks_is_written_again(reconciled: System) -> None:
    attempts = reconciled.stack.settings.cancel_max_attempts
    body = faulty("http_500_applied", cancel="fail", times=attempts)
    number = body["requestUniqueNo"]
    await reconciled.post(body)
    before = await reconciled.ends(number)
    assert before["state"] == State.ABORTED
    file = reconciled.stack.state_dir / "ledger.db"
    with sqlite3.connect(file, timeout=30) as database, unguarded_file(database):
        for table in ("external_calls", "operator_actions", "state_changes"):
            database.execute(f"DELETE FROM {table} WHERE settlement_id = ?", (str(id_of(number)),))  # noqa: S608 - fixed names
        database.execute("DELETE FROM settlements WHERE request_unique_no = ?", (number,))
    database.close()
    assert (await reconciled.get(number)).status == 404

    async def back() -> bool:
        return (await reconciled.get(number)).status == 200

    await until(back, limit_s=90, what="the row to come back")
    assert (await reconciled.get(number)).body == before
    assert (await repaired(reconciled, number))["kind"] == "LEDGER_MISSING"
