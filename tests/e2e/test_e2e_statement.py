"""The broker's statement shows what neither Temporal nor the ledger can see: what the broker really did."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from settlement.states import CancelResult, State
from tests.e2e.conftest import System, e2e_settings, faulty, running
from tests.support.cli import settlement
from tests.support.polling import until

LANDS_AFTER_S = 8
"""After the confirming cancel: the deadline of 3 s, the first cancel, and a quarantine of 1 s come before it."""


@pytest_asyncio.fixture(scope="module")
async def own_system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Return a stack whose statement contains only the orders of this module."""
    async with running(e2e_settings(tmp_path_factory.mktemp("statement"))) as started:
        yield started


async def ended(system: System, body: dict[str, Any]) -> tuple[str, State, CancelResult | None]:
    """Post an order, wait for its end, and return its number, state and cancel result."""
    await system.post(body, wait_s=None)
    end = await system.ends(body["requestUniqueNo"])
    return body["requestUniqueNo"], end["state"], end["cancelResult"]


async def imported(system: System, folder: Path, starts_at: datetime) -> dict[str, Any]:
    """Fetch the simulator's statement from a time until now, and import it."""
    ends_at = datetime.now(UTC)
    period = {"from": starts_at.isoformat(), "to": ends_at.isoformat()}
    async with system.http.get(f"{system.stack.external_url}/simulator/statement", params=period) as answer:
        (folder / "day.csv").write_bytes(await answer.read())
    arguments = ("--from", period["from"], "--to", period["to"], "--margin", "0", "--json")
    ran = await settlement("statement", "import", str(folder / "day.csv"), *arguments, url=system.stack.api_url)
    assert ran.code in {0, 4}, ran.err
    return dict(ran.json())


async def open_findings(system: System) -> set[tuple[str, str]]:
    answer = await system.ask("GET", "/v1/reconciliation/findings", params={"status": "OPEN"})
    return {(each["requestUniqueNo"], each["kind"]) for each in answer.body["items"]}


async def test_false_replies_and_late_adjusts_of_the_broker_are_found(own_system: System, tmp_path: Path) -> None:
    """The saga ends as it should in each case: only the statement shows that the broker did something else."""
    starts_at = datetime.now(UTC) - timedelta(minutes=1)
    orders = (
        faulty("land_late_unguarded", seconds=LANDS_AFTER_S),
        faulty("http_500_applied", cancel="not_reversed"),
        faulty("http_500_applied", cancel="reversed_twice"),
        faulty("http_500_applied", cancel="fail", times=own_system.stack.settings.cancel_max_attempts),
        *(faulty(), faulty("http_500_applied"), faulty("reject"), faulty("never_received")),
    )
    ends = await asyncio.gather(*(ended(own_system, order) for order in orders))
    (late, late_state, late_result), (kept, *kept_end), (twice, *twice_end), (aborted, aborted_state, _) = ends[:4]
    assert (late_state, late_result) == (State.CANCELLED, CancelResult.NEVER_RECEIVED)
    assert kept_end == twice_end == [State.CANCELLED, CancelResult.REVERSED]
    assert aborted_state == State.ABORTED

    async def has_landed() -> bool:
        return bool((await own_system.books(late))["state"] == "APPLIED")

    await until(has_landed, what="the late adjust")
    result = await imported(own_system, tmp_path, starts_at)
    expected = {
        (late, "STATEMENT_APPLIED_BUT_VOID"),
        (kept, "STATEMENT_APPLIED_BUT_VOID"),
        (twice, "STATEMENT_REVERSED_TWICE"),
    }
    assert await open_findings(own_system) == expected
    assert (result["findingsNew"], result["openSettlements"], result["undecided"]) == (3, 1, 0)

    # The operator retries the ABORTED one: what the statement says of it is no difference afterwards either.
    why = {"reasonCode": "BROKER_RECOVERED", "note": "outage ended"}
    await own_system.act(aborted, "cancel-adjust-retries", why)
    await own_system.ends(aborted)
    again = await imported(own_system, tmp_path, starts_at)
    assert (again["findingsNew"], again["findingsOpen"], again["openSettlements"]) == (0, 3, 0)

    # No round of reconciliation clears such a finding.
    assert (await settlement("reconcile", url=own_system.stack.api_url)).code == 4
    assert await open_findings(own_system) == expected
