"""The worker of the same process tells a decision. Without it, the workflow is asked."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.local_decisions import LocalDecisions
from api.app import provide
from api.settlements import decision
from settlement.calls import Verdict
from settlement.start import accepted_snapshot
from settlement.states import Decision, State
from tests.api.api_harness import ApiHarness, open_api_with_temporal
from tests.support.ledgers import FlakyLedger
from tests.support.orders import id_of, order, settlement
from tests.support.polling import until
from tests.support.scripted import APPLIED, REJECTED, REVERSED, ScriptedExternalSystem


@pytest.fixture
def decisions() -> LocalDecisions:
    return LocalDecisions()


@pytest_asyncio.fixture
async def api(engine: AsyncEngine, temporal: Client, decisions: LocalDecisions) -> AsyncIterator[ApiHarness]:
    """Return an API that expects the decisions of a worker in its process; the worker of a test tells none."""
    async with open_api_with_temporal(FlakyLedger(engine), temporal) as opened:
        provide(opened.app, replace(opened.app.state.services, decisions=decisions))
        yield opened


async def test_what_is_told_is_answered(api: ApiHarness, decisions: LocalDecisions) -> None:
    body = order()
    number = str(body["requestUniqueNo"])
    settled = accepted_snapshot(settlement()).model_copy(
        update={"version": 1, "state": State.SETTLED, "decision": Decision.PROCEED}
    )

    async def tell() -> bool:
        decisions.tell(id_of(number), settled)
        return bool(decisions.expected_count)

    answer, _ = await asyncio.gather(api.post(body, prefer="wait=20"), until(tell))
    assert (answer.status_code, answer.json()["decision"]) == (201, "PROCEED")


@pytest.mark.parametrize("adjust", [APPLIED, REJECTED], ids=["PROCEED", "VOID"])
async def test_what_another_process_decides_is_asked_for(
    api: ApiHarness, decisions: LocalDecisions, monkeypatch: pytest.MonkeyPatch, adjust: Verdict
) -> None:
    monkeypatch.setattr(decision, "TOLD_WITHIN_S", 0.2)
    async with api.workers(ScriptedExternalSystem(adjust=adjust, cancels=[REVERSED])):
        answer = await api.post(order(), prefer="wait=20")
    decided = Decision.PROCEED if adjust is APPLIED else Decision.VOID
    assert (answer.status_code, answer.json()["decision"]) == (201, decided)
    assert decisions.expected_count == 0


async def test_without_a_decision_the_order_is_accepted_within_the_wait(
    api: ApiHarness, decisions: LocalDecisions
) -> None:
    answer = await api.post(order(), prefer="wait=1")
    assert (answer.status_code, answer.json()["decision"]) == (202, None)
    assert decisions.expected_count == 0
