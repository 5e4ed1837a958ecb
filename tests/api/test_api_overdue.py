"""What was accepted and never started is taken up once it has expired, and only then, and ends without an adjust."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, cast

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from api import overdue
from api.overdue import SLACK_S, start_overdue
from api.services import Services
from contract.ids import workflow_id
from contract.states import State
from tests.api.doors import QUICK_SETTINGS, Door, accept
from tests.api.snapshots import stands
from tests.api.wire import Line, served
from tests.support.orders import order, settlement
from tests.support.polling import until
from tests.support.sagas import workers
from tests.support.scripted import APPLIED, Gate, ScriptedExternalSystem

EXPIRY_S = QUICK_SETTINGS.expire_after_s
POLICY = QUICK_SETTINGS.policy


class Tomorrow(datetime):
    """A clock by which everything that is under way is long overdue."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Tomorrow":
        """Return this time tomorrow."""
        return cast("Tomorrow", datetime.now(tz) + timedelta(days=1))


def services(door: Door) -> Services:
    """Return what the app works with."""
    return cast("Services", door.app.state.services)


async def accept_ago(door: Door, seconds: float, **changes: Any) -> str:  # noqa: ANN401 - any argument of settlement
    """Accept a settlement, so long ago, without starting it."""
    accepted_at = datetime.now(UTC) - timedelta(seconds=seconds)
    return await accept(door.ledger, settlement(accepted_at=accepted_at, **{"policy": POLICY, **changes}))


async def has_workflow(temporal: Client, number: str) -> bool:
    """Tell whether a settlement was ever started."""
    try:
        await temporal.get_workflow_handle(workflow_id(number)).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True


async def test_overdue_one_ends_expired_and_is_never_sent(door: Door) -> None:
    number = await accept_ago(door, EXPIRY_S + SLACK_S + 1)
    external = ScriptedExternalSystem(adjust=APPLIED)
    async with door.workers(external):
        assert await start_overdue(services(door)) == 1
        await door.reaches(number, State.EXPIRED)
    assert (await door.get(number)).json()["decision"] == "VOID"
    assert (external.adjusts, external.cancels) == ([], [])


async def test_repeating_it_starts_nothing_twice(door: Door) -> None:
    """Other API processes do the same at the same time."""
    number = await accept_ago(door, EXPIRY_S + SLACK_S + 1)
    assert await asyncio.gather(*(start_overdue(services(door)) for _ in range(5))) == [1] * 5
    async with door.workers(ScriptedExternalSystem(adjust=APPLIED)):
        await door.reaches(number, State.EXPIRED)
    assert await start_overdue(services(door)) == 0


@pytest.mark.parametrize("age_s", [0, EXPIRY_S - 1, EXPIRY_S + SLACK_S - 2])
async def test_younger_one_is_left_alone(door: Door, age_s: float) -> None:
    """Its own POST may still be on its way to Temporal, and its first ledger write behind it."""
    number = await accept_ago(door, age_s)
    assert await start_overdue(services(door)) == 0
    assert not await has_workflow(door.temporal, number)


async def test_one_whose_own_policy_is_more_patient_is_left_alone(door: Door) -> None:
    """Started now it would be sent: it was accepted when the setting was longer."""
    patient = POLICY.model_copy(update={"expire_after_s": 86_400.0})
    number = await accept_ago(door, EXPIRY_S + SLACK_S + 1, policy=patient)
    await start_overdue(services(door))
    assert not await has_workflow(door.temporal, number)


@pytest.mark.parametrize("state", [state for state in State if state is not State.ADJUSTING])
async def test_one_that_is_decided_is_not_even_looked_at(door: Door, state: State) -> None:
    old = settlement(accepted_at=datetime.now(UTC) - timedelta(days=1))
    number = await accept(door.ledger, old, stands(old, state))
    assert await start_overdue(services(door)) == 0
    assert not await has_workflow(door.temporal, number)


async def test_one_that_is_running_is_untouched(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger cannot tell it from one that never started; Temporal can."""
    monkeypatch.setattr(overdue, "datetime", Tomorrow)
    body = order()
    gate = Gate(APPLIED)
    external = ScriptedExternalSystem(adjust=gate)
    async with door.workers(external):
        await door.post(body)
        await gate.reached.wait()
        assert await start_overdue(services(door)) == 1
        gate.opened.set()
        await door.reaches(body["requestUniqueNo"], State.SETTLED)
    assert len(external.adjusts) == 1


async def test_one_that_has_closed_is_not_run_again(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger restored from a backup knows less than Temporal does."""
    monkeypatch.setattr(overdue, "datetime", Tomorrow)
    body = order()
    external = ScriptedExternalSystem(adjust=APPLIED)
    async with door.workers(external):
        door.ledger.down = True
        await door.post(body)
        await until(lambda: _sent(external), what="the adjust")
        handle = door.temporal.get_workflow_handle(workflow_id(body["requestUniqueNo"]))
        await handle.terminate()
        assert await start_overdue(services(door)) == 1
    assert len(external.adjusts) == 1


async def _sent(external: ScriptedExternalSystem) -> bool:
    return bool(external.adjusts)


async def test_one_that_was_ended_from_outside_is_told_and_keeps_no_other_waiting(
    door: Door, logs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page goes on behind the one before; a page full of such settlements must not be the last."""
    monkeypatch.setattr(overdue, "BATCH", 1)
    numbers = [await accept_ago(door, EXPIRY_S + 100 - each) for each in range(3)]
    await start_overdue(services(door))
    await door.temporal.get_workflow_handle(workflow_id(numbers[0])).terminate()
    assert await start_overdue(services(door)) == 3
    told = [each["settlement"] for each in logs if "closed without an end" in each["event"]]
    assert told == [numbers[0]]
    async with door.workers(ScriptedExternalSystem(adjust=APPLIED)):
        for number in numbers[1:]:
            await door.reaches(number, State.EXPIRED)


async def test_temporal_outage_leaves_everything_as_it_is(closed_door: Door) -> None:
    number = await accept_ago(closed_door, EXPIRY_S + SLACK_S + 1)
    await start_overdue(services(closed_door))
    assert (await closed_door.get(number)).json()["state"] == "ADJUSTING"


@asynccontextmanager
async def looking(door: Door) -> AsyncIterator[asyncio.Task[None]]:
    """Run the search that goes on beside the app."""
    task = asyncio.create_task(overdue.run(services(door)))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_search_survives_an_outage_of_temporal(
    lined_door: Door, temporal_line: Line, temporal: Client, logs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overdue, "INTERVAL_S", 0.02)
    number = await accept_ago(lined_door, EXPIRY_S + SLACK_S + 1)

    async def failed() -> bool:
        return "not taken up" in [each["event"] for each in logs]

    external = ScriptedExternalSystem(adjust=APPLIED)
    async with looking(lined_door) as task, workers(temporal, external, lined_door.ledger):
        await until(failed, what="a failed look")
        await temporal_line.lead_to(temporal.service_client.config.target_host)
        await lined_door.reaches(number, State.EXPIRED)
        assert not task.done()


async def test_app_itself_does_the_search(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nobody asking, an accepted order still comes to an end."""
    monkeypatch.setattr(overdue, "INTERVAL_S", 0.02)
    number = await accept_ago(door, EXPIRY_S + SLACK_S + 1)
    async with door.workers(ScriptedExternalSystem(adjust=APPLIED)), served(door.app):
        await door.reaches(number, State.EXPIRED)
