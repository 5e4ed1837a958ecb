"""While the circuit breaker is open, an order is void without a call, and a cancel waits without using up attempts."""

from contextlib import AsyncExitStack
from datetime import timedelta

from temporalio.testing import WorkflowEnvironment

from activities.call_admission import CallAdmission, CallLimits
from activities.circuit_breaker import BreakerPolicy
from settlement.calls import Rule, Verdict
from settlement.circuit_breaker import BreakerState
from settlement.snapshot import Snapshot
from settlement.start import DEFAULT_SYSTEM
from settlement.states import CancelResult, Decision, Outcome, State
from tests.support.ledgers import FlakyLedger
from tests.support.limits import timers_in
from tests.support.orders import settlement
from tests.support.polling import until
from tests.support.sagas import end_of, workers
from tests.support.scripted import APPLIED, REJECTED, REVERSED, UNKNOWN, ScriptedExternalSystem
from workflows.order_settlement import OrderSettlement
from workflows.start import start_workflow

POLICY = BreakerPolicy(unknowns=2, open_s=30, cancels_per_min=6)


class Clock:
    """The clock of the breakers, which only the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Circuit:
    """The calls of one worker to one external system, with a breaker."""

    def __init__(self, limits: CallLimits | None = None) -> None:
        self.clock = Clock()
        self.admission = CallAdmission(self.clock)
        self.admission.configure({DEFAULT_SYSTEM: limits or CallLimits(breaker=POLICY)})

    @property
    def state(self) -> BreakerState:
        """The state of the breaker."""
        return self.admission.breakers()[DEFAULT_SYSTEM].state

    async def call(self, verdict: Verdict) -> None:
        """Make a call of another settlement."""
        async with self.admission.of(DEFAULT_SYSTEM).call(is_cancel=True) as call:
            assert call.refusal is None
            call.ended(verdict)

    async def open(self) -> None:
        """Let other settlements open the breaker."""
        for _ in range(POLICY.unknowns):
            await self.call(UNKNOWN)
        assert self.state is BreakerState.OPEN


async def settle(
    environment: WorkflowEnvironment, ledger: FlakyLedger, external: ScriptedExternalSystem, circuit: Circuit
) -> Snapshot:
    """Settle one order to its end."""
    accepted = settlement(accepted_at=await environment.get_current_time())
    async with workers(environment.client, external, ledger, admission=circuit.admission):
        return await end_of(await start_workflow(environment.client, accepted))


async def test_while_it_is_open_an_order_is_void_and_nothing_is_sent(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    external, circuit = ScriptedExternalSystem(adjust=APPLIED), Circuit()
    await circuit.open()
    snapshot = await settle(environment, ledger, external, circuit)
    assert (snapshot.state, snapshot.decision) == (State.EXPIRED, Decision.VOID)
    assert snapshot.reason == "adjust NOT_SENT (BREAKER_OPEN)"
    [call] = snapshot.calls
    assert (call.verdict.outcome, call.verdict.rule) == (Outcome.NOT_SENT, Rule.BREAKER_OPEN)
    assert (external.adjusts, external.cancels) == ([], [])


async def test_after_its_time_the_next_order_is_the_probe_and_closes_it(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    circuit = Circuit()
    await circuit.open()
    circuit.clock.now += POLICY.open_s
    snapshot = await settle(environment, ledger, ScriptedExternalSystem(adjust=APPLIED), circuit)
    assert snapshot.decision is Decision.PROCEED
    assert circuit.state is BreakerState.CLOSED


async def test_an_order_and_its_cancel_open_it_and_the_cancel_waits_until_its_turn(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    """Its attempts are counted over the wait. Its correct reply makes the breaker half-open."""
    external, circuit = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[UNKNOWN, REVERSED]), Circuit()
    accepted = settlement(accepted_at=await environment.get_current_time())
    async with workers(environment.client, external, ledger, admission=circuit.admission):
        handle = await start_workflow(environment.client, accepted)

        async def waits() -> bool:
            return (await handle.query(OrderSettlement.snapshot)).reason.startswith("waiting")

        await until(waits, what="the wait")
        waiting = await handle.query(OrderSettlement.snapshot)
        assert waiting.reason == "waiting: the circuit breaker of external system default is open"
        assert (waiting.state, circuit.state) == (State.CANCELLING, BreakerState.OPEN)
        await environment.sleep(timedelta(minutes=10))
        assert len(external.cancels) == 1
        circuit.clock.now += 10
        snapshot = await end_of(handle)
        waits_s = timers_in(await handle.fetch_history())
    assert (snapshot.state, snapshot.cancel_result) == (State.CANCELLED, CancelResult.REVERSED)
    assert [(call.attempt, call.verdict) for call in snapshot.calls[1:]] == [(1, UNKNOWN), (2, REVERSED)]
    assert len(set(external.cancel_numbers)) == 1
    assert circuit.state is BreakerState.HALF_OPEN
    longest = (1, 2, 4, 8, 16, 32, *[60] * len(waits_s))
    assert all(longest_s / 2 <= wait_s <= longest_s for wait_s, longest_s in zip(waits_s, longest, strict=False))


async def test_above_a_limit_an_order_is_void_and_nothing_is_sent(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    external, circuit = ScriptedExternalSystem(adjust=APPLIED), Circuit(CallLimits(in_flight=1))
    async with circuit.admission.of(DEFAULT_SYSTEM).call(is_cancel=False):
        snapshot = await settle(environment, ledger, external, circuit)
    assert (snapshot.state, snapshot.reason) == (State.EXPIRED, "adjust NOT_SENT (IN_FLIGHT_LIMIT)")
    assert (external.adjusts, external.cancels) == ([], [])


async def test_above_a_limit_a_cancel_waits_and_uses_up_no_attempt(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    circuit = Circuit(CallLimits(in_flight=2))

    async def another_call_takes_the_last_place() -> Verdict:
        await others.enter_async_context(circuit.admission.of(DEFAULT_SYSTEM).call(is_cancel=True))
        circuit.admission.configure({DEFAULT_SYSTEM: CallLimits(in_flight=1)})
        return REJECTED

    external = ScriptedExternalSystem(adjust=another_call_takes_the_last_place, cancels=[REVERSED])
    accepted = settlement(accepted_at=await environment.get_current_time())
    async with workers(environment.client, external, ledger, admission=circuit.admission):
        async with AsyncExitStack() as others:
            handle = await start_workflow(environment.client, accepted)
            await environment.sleep(timedelta(minutes=10))
            waiting = await handle.query(OrderSettlement.snapshot)
            assert waiting.reason == "waiting: external system default has its maximum number of calls in flight"
            assert external.cancels == []
        snapshot = await end_of(handle)
    assert [(call.attempt, call.verdict) for call in snapshot.calls] == [(1, REJECTED), (1, REVERSED)]
