"""Timeouts and retry policies as sent to Temporal. A replay does not detect a changed one; these tests do."""

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import MagicMock

import pytest
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

import worker
from activities.adjust import Adjust
from activities.record_settlement import RecordSettlement
from settlement import limits
from tests.saga.conftest import StartSaga
from tests.support import lost
from tests.support.ledgers import FlakyLedger
from tests.support.limits import LOCAL, OF_A_SETTLEMENT, SNAPSHOT, limits_in, seconds, timers_in
from tests.support.orders import QUICK_POLICY, settlement
from tests.support.sagas import settling
from tests.support.scripted import NEVER_RECEIVED, NOT_APPLIED, REVERSED, UNKNOWN, ScriptedExternalSystem


async def test_activities_and_quarantine_of_a_settlement_have_their_limits(saga: StartSaga) -> None:
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[NOT_APPLIED, REVERSED])
    async with saga(external) as started:
        await started.result()
        history = await started.handle.fetch_history()
    assert limits_in(history) == OF_A_SETTLEMENT
    (quarantine_s,) = timers_in(history)
    # The length is a difference of two moments as floats, which may be off by a microsecond.
    assert QUICK_POLICY.confirm_after_s - 1 < quarantine_s <= QUICK_POLICY.confirm_after_s + 1e-6


async def test_a_take_up_has_the_same_limits_and_waits_for_an_adjust_in_flight(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    start = settlement(accepted_at=await environment.get_current_time() - timedelta(minutes=5))
    external = ScriptedExternalSystem(adjust=AssertionError("adjusted again"), cancels=[NEVER_RECEIVED, REVERSED])
    taken_up = lost.taken_up(lost.adjusting(start))
    async with settling(environment, ledger, external, start, taken_up) as started:
        await started.result()
        history = await started.handle.fetch_history()
    assert limits_in(history) == {name: each for name, each in OF_A_SETTLEMENT.items() if name != "adjust"}
    in_flight_s, quarantine_s = timers_in(history)
    assert in_flight_s == OF_A_SETTLEMENT["adjust"].start_to_close_s
    assert quarantine_s == pytest.approx(QUICK_POLICY.confirm_after_s, abs=1)


def test_every_registered_activity_has_its_limits_in_the_snapshot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new activity fails here until it is added, and is then compared in the test of its workflow."""
    registered: list[Callable[..., Any]] = []

    def recorded(*_: object, activities: list[Callable[..., Any]], **__: object) -> None:
        registered.extend(activities)

    makers = [each for name, each in inspect.getmembers(worker, inspect.isfunction) if _makes_a_worker(name, each)]
    monkeypatch.setattr(worker, "Worker", recorded)
    real = {"adjust": Adjust(MagicMock(), MagicMock(), MagicMock()), "record": RecordSettlement(MagicMock())}
    for make in makers:
        make(**{name: real.get(name, MagicMock()) for name in inspect.signature(make).parameters})
    names = {getattr(each, "__temporal_activity_definition").name for each in registered}
    assert names == {*SNAPSHOT, *LOCAL}


def _makes_a_worker(name: str, function: Callable[..., Any]) -> bool:
    return not name.startswith("_") and inspect.signature(function).return_annotation is Worker


async def test_no_timeout_can_close_a_settlement(saga: StartSaga) -> None:
    async with saga(ScriptedExternalSystem(adjust=UNKNOWN, cancels=[REVERSED])) as started:
        await started.result()
        first = (await started.handle.fetch_history()).events[0].workflow_execution_started_event_attributes
    ten_years_s = 10 * 365 * 24 * 3600
    # This server writes its own far-away default where none is given.
    timeout_s = seconds(first.workflow_execution_timeout)
    assert timeout_s == 0 or timeout_s >= ten_years_s


def test_an_adjust_always_fits_into_its_start_to_close_timeout() -> None:
    inside = limits.PICKUP_DELAY_MAX_S + limits.CONNECT_DEADLINE_S + limits.ADJUST_DEADLINE_S
    assert limits.ADJUST_DEADLINE_S == 3
    assert inside < limits.ADJUST_START_TO_CLOSE.total_seconds()
