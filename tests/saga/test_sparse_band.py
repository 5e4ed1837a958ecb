"""A round of cancels has a first and a sparse band of attempts, and honours `Retry-After` within a bound."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest
from temporalio.testing import WorkflowEnvironment

from settlement.calls import Verdict
from settlement.policy import SettlementPolicy, attempts_of_round
from settlement.snapshot import Snapshot
from settlement.states import CancelResult, State
from tests.saga.conftest import StartSaga
from tests.support.limits import timers_in
from tests.support.orders import QUICK_POLICY, SPARSE_POLICY, settlement
from tests.support.polling import until
from tests.support.sagas import Saga
from tests.support.scripted import BUSY, NOT_CONFIGURED, REJECTED, REVERSED, Answer, ScriptedExternalSystem
from tests.support.story_acts import ATTEMPTS, FAILED, RETRY, aborted
from workflows.order_settlement import OrderSettlement

BOTH_BANDS = attempts_of_round(SPARSE_POLICY)


class Clock:
    """Notes the server's time at each call. It goes on while the machine works, so the waits below are long."""

    def __init__(self, environment: WorkflowEnvironment) -> None:
        self._environment = environment
        self._times: list[datetime] = []

    def at(self, verdict: Verdict) -> Callable[[], Awaitable[Verdict]]:
        """Return an answer that notes when its call was made."""

        async def answer() -> Verdict:
            self._times.append(await self._environment.get_current_time())
            return verdict

        return answer

    @property
    def waits_s(self) -> list[float]:
        """The waits between the calls, to 50 s."""
        pairs = zip(self._times, self._times[1:], strict=False)
        return [50 * round((later - earlier).total_seconds() / 50) for earlier, later in pairs]


SLOW = QUICK_POLICY.model_copy(update={"cancel_initial_interval_s": 100.0, "cancel_max_interval_s": 1000.0})
SLOW_SPARSE = SLOW.model_copy(
    update={
        "cancel_sparse_attempts": 3,
        "cancel_sparse_initial_interval_s": 2000.0,
        "cancel_sparse_max_interval_s": 3000.0,
        "cancel_retry_after_max_s": 10_000.0,
    }
)


async def waits_between(
    saga: StartSaga, environment: WorkflowEnvironment, policy: SettlementPolicy, verdicts: list[Verdict]
) -> list[float]:
    """Return the waits between cancels with these answers. The last one must settle the cancel."""
    clock = Clock(environment)
    cancels: list[Answer] = [clock.at(verdict) for verdict in verdicts]
    external = ScriptedExternalSystem(adjust=REJECTED, cancels=cancels)
    order = settlement(policy=policy, accepted_at=await environment.get_current_time())
    async with saga(external, order) as started:
        await started.result()
    return clock.waits_s


async def test_the_waits_of_both_bands_are_those_of_the_policy(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    verdicts = [*[FAILED] * (BOTH_BANDS - 1), REVERSED]
    assert await waits_between(saga, environment, SLOW_SPARSE, verdicts) == [100, 200, 2000, 3000, 3000]


async def test_each_band_is_a_bounded_retry_policy_and_then_the_settlement_is_aborted(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    external = ScriptedExternalSystem(adjust=REJECTED, cancels=[FAILED] * BOTH_BANDS)
    order = settlement(policy=SPARSE_POLICY, accepted_at=await environment.get_current_time())
    async with saga(external, order) as started:
        await aborted(environment, started)
        snapshot = await started.snapshot()
        history = await started.handle.fetch_history()
    scheduled = [event.activity_task_scheduled_event_attributes for event in history.events]
    bounds = [each.retry_policy for each in scheduled if each.activity_type.name == "cancel_adjust"]
    assert [each.maximum_attempts for each in bounds] == [ATTEMPTS, SPARSE_POLICY.cancel_sparse_attempts]
    assert [(call.round, call.attempt) for call in snapshot.calls[1:]] == [(0, n + 1) for n in range(BOTH_BANDS)]
    assert len(set(external.cancel_numbers)) == 1
    assert snapshot.reason == "FIRST cancel adjust ran out of attempts"
    assert timers_in(history) == [20]


async def test_the_reason_before_the_sparse_band_says_when_it_continues_and_when_it_ends(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    policy = SPARSE_POLICY.model_copy(
        update={"cancel_sparse_initial_interval_s": 3600.0, "cancel_sparse_max_interval_s": 7200.0}
    )
    external = ScriptedExternalSystem(adjust=REJECTED, cancels=[*[FAILED] * ATTEMPTS, REVERSED])
    order = settlement(policy=policy, accepted_at=await environment.get_current_time())
    async with saga(external, order) as started:
        await environment.sleep(timedelta(minutes=10))
        waiting = await started.snapshot()
        assert await started.recorded() == waiting
        snapshot = await started.result()
    first_due = waiting.updated_at + timedelta(hours=1)
    assert waiting.state is State.CANCELLING
    assert waiting.reason == (
        f"FIRST cancel adjust used up the 3 attempts of its first band; sparse band: attempt 4 of 6 at "
        f"{first_due:%Y-%m-%d %H:%M:%S} UTC; ABORTED at about {first_due + timedelta(hours=4):%Y-%m-%d %H:%M:%S} UTC "
        "if no reply settles it"
    )
    assert snapshot.cancel_result is CancelResult.REVERSED


async def test_an_operators_retry_begins_a_full_new_round(saga: StartSaga, environment: WorkflowEnvironment) -> None:
    external = ScriptedExternalSystem(adjust=REJECTED, cancels=[FAILED] * (2 * BOTH_BANDS - 1) + [REVERSED])
    order = settlement(policy=SPARSE_POLICY, accepted_at=await environment.get_current_time())
    async with saga(external, order) as started:
        await aborted(environment, started)
        await started.handle.execute_update(OrderSettlement.retry_cancel_adjust, RETRY)
        snapshot = await started.result()
    made = [(call.round, call.attempt) for call in snapshot.calls[1:]]
    assert made == [(round_, n + 1) for round_ in range(2) for n in range(BOTH_BANDS)]


async def test_a_wait_for_the_configuration_in_the_sparse_band_uses_no_attempt(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    failing = [FAILED] * (BOTH_BANDS - ATTEMPTS - 1)
    external = ScriptedExternalSystem(adjust=REJECTED, cancels=[*[FAILED] * ATTEMPTS, FAILED, NOT_CONFIGURED, *failing])
    order = settlement(policy=SPARSE_POLICY, accepted_at=await environment.get_current_time())
    async with saga(external, order) as started:
        await reaches_with_time(environment, started, State.ABORTED)
        snapshot = await started.snapshot()
    assert [call.attempt for call in snapshot.calls[1:]] == list(range(1, BOTH_BANDS + 1))


async def reaches_with_time(environment: WorkflowEnvironment, started: Saga, state: State) -> Snapshot:
    """Let time pass until a settlement is in a state."""

    async def probe() -> Snapshot | None:
        await environment.sleep(timedelta(seconds=30))
        snapshot = await started.snapshot()
        return snapshot if snapshot.state is state else None

    return await until(probe, what=f"state {state}")


SLOW_BUSY = BUSY.model_copy(update={"retry_after_s": 700})
SOON = BUSY.model_copy(update={"retry_after_s": 50})


@pytest.mark.parametrize(
    ("bound_s", "busy", "waits_s"),
    [(1000, SLOW_BUSY, [700, 700]), (500, SLOW_BUSY, [500, 500]), (0, SLOW_BUSY, [100, 200]), (1000, SOON, [100, 200])],
    ids=["honoured", "bounded", "ignored", "never earlier than the backoff"],
)
async def test_retry_after_delays_the_next_attempt_within_its_bound(
    saga: StartSaga, environment: WorkflowEnvironment, bound_s: float, busy: Verdict, waits_s: list[float]
) -> None:
    policy = SLOW.model_copy(update={"cancel_retry_after_max_s": bound_s})
    assert await waits_between(saga, environment, policy, [busy, busy, REVERSED]) == waits_s


async def test_retry_after_delays_the_sparse_band_too(saga: StartSaga, environment: WorkflowEnvironment) -> None:
    busy = BUSY.model_copy(update={"retry_after_s": 9000})
    verdicts = [FAILED, FAILED, busy, busy, REVERSED]
    assert await waits_between(saga, environment, SLOW_SPARSE, verdicts) == [100, 200, 9000, 9000]
