"""A settlement counts each metric once, although every task in these tests replays the whole history."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.client import Client
from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig
from temporalio.testing import WorkflowEnvironment

from settlement.calls import Phase, Rule, Verdict
from settlement.reply_record import ReplyRecord
from settlement.states import Outcome, State
from tests.support.ledgers import FlakyLedger
from tests.support.orders import settlement
from tests.support.polling import until
from tests.support.sagas import Saga, workers
from tests.support.scripted import APPLIED, NEVER_RECEIVED, REJECTED, REVERSED, ScriptedExternalSystem
from tests.support.story_acts import ATTEMPTS, FAILED, RETRY, aborted
from workflows.order_settlement import OrderSettlement
from workflows.runtime import DATA_CONVERTER
from workflows.start import start_workflow

DIED_IN_THE_BODY = Verdict(outcome=Outcome.UNKNOWN, rule=Rule.DEADLINE, phase=Phase.BODY)
OURS = {"state", "decision", "operation", "outcome", "rule", "phase", "kind", "result"}
SDKS = {"namespace", "task_queue", "workflow_type", "activity_type"}

Counted = Counter[tuple[str, ...]]


class Metered:
    """The workers' own SDK runtime, with everything counted in it so far."""

    def __init__(self) -> None:
        self.buffer = MetricBuffer(100_000)
        self.runtime = Runtime(telemetry=TelemetryConfig(metrics=self.buffer))
        self.values: list[tuple[str, Mapping[str, object], float]] = []

    def read(self) -> None:
        """Read the metrics recorded since the last call."""
        for update in self.buffer.retrieve_updates():
            if update.metric.name.startswith("settlement_"):
                labels = {name: value for name, value in update.attributes.items() if name != "service_name"}
                self.values.append((update.metric.name, labels, update.value))

    def times(self, name: str) -> Counted:
        """Return how often a metric was recorded, by the values of our own labels in alphabetical order."""
        self.read()
        return Counter(
            tuple(str(labels[label]) for label in sorted(labels.keys() & OURS))
            for recorded, labels, _ in self.values
            if recorded == name
        )

    def recorded(self, name: str) -> list[float]:
        """Return the values of a histogram."""
        self.read()
        return [value for recorded, _, value in self.values if recorded == name]


@asynccontextmanager
async def metered_saga(
    environment: WorkflowEnvironment, ledger: FlakyLedger, external: ScriptedExternalSystem, ahead_s: float = 0
) -> AsyncIterator[tuple[Saga, Metered]]:
    """Start a settlement whose workers count into a buffer."""
    metered = Metered()
    address = environment.client.service_client.config.target_host
    client = await Client.connect(address, data_converter=DATA_CONVERTER, runtime=metered.runtime)
    accepted = settlement(accepted_at=await environment.get_current_time() + timedelta(seconds=ahead_s))
    async with workers(client, external, ledger):
        yield Saga(await start_workflow(environment.client, accepted), accepted, external, ledger), metered


async def test_a_settled_order_is_one_call_one_decision_and_one_end(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    async with metered_saga(environment, ledger, ScriptedExternalSystem(adjust=APPLIED)) as (saga, metered):
        await saga.result()
    assert metered.times("settlement_external_calls") == {("ADJUST", "APPLIED", "NONE", "CODE_SUCCESS"): 1}
    assert metered.times("settlement_external_call_duration") == {("ADJUST", "APPLIED"): 1}
    assert metered.times("settlement_accepted_to_decided") == {("PROCEED",): 1}
    assert metered.times("settlement_ended") == {("SETTLED",): 1}
    assert metered.times("settlement_ledger_writes") == {("OK",): 1}
    assert metered.times("settlement_cancel_attempts") == metered.times("settlement_aborts") == {}


async def test_the_external_systems_processing_time_has_its_own_histogram(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    """Impossible values are not counted: below zero, or longer than the whole call."""
    impossible = REVERSED.model_copy(update={"reply": ReplyRecord(code="0", tm=-1)})
    refused = REJECTED.model_copy(update={"reply": ReplyRecord(code="E1", tm=0)})
    external = ScriptedExternalSystem(adjust=refused, cancels=[impossible])
    async with metered_saga(environment, ledger, external) as (saga, metered):
        await saga.result()
    assert metered.times("settlement_external_processing_duration") == {("ADJUST", "REJECTED"): 1}
    assert len(metered.recorded("settlement_external_call_duration")) == 2


async def test_an_abort_and_the_retry_after_it_are_counted_separately(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    external = ScriptedExternalSystem(adjust=DIED_IN_THE_BODY, cancels=[FAILED] * ATTEMPTS + [REVERSED])
    async with metered_saga(environment, ledger, external) as (saga, metered):
        await aborted(environment, saga)
        assert (metered.times("settlement_aborts"), metered.times("settlement_ended")) == ({(): 1}, {})
        await saga.handle.execute_update(OrderSettlement.retry_cancel_adjust, RETRY)
        await saga.result()
    assert metered.times("settlement_external_calls") == {
        ("ADJUST", "UNKNOWN", "BODY", "DEADLINE"): 1,
        ("CANCEL_ADJUST", "UNKNOWN", "NONE", "HTTP_STATUS"): ATTEMPTS,
        ("CANCEL_ADJUST", "APPLIED", "NONE", "CODE_SUCCESS"): 1,
    }
    assert metered.times("settlement_accepted_to_decided") == {("VOID",): 1}
    assert metered.times("settlement_cancel_attempts") == {("FIRST", "REVERSED"): 1}
    assert metered.recorded("settlement_cancel_attempts") == [ATTEMPTS + 1]
    assert (metered.times("settlement_aborts"), metered.times("settlement_ended")) == ({(): 1}, {("CANCELLED",): 1})


async def test_each_cancel_counts_its_own_attempts(environment: WorkflowEnvironment, ledger: FlakyLedger) -> None:
    external = ScriptedExternalSystem(adjust=DIED_IN_THE_BODY, cancels=[FAILED, NEVER_RECEIVED, NEVER_RECEIVED])
    async with metered_saga(environment, ledger, external) as (saga, metered):
        await saga.result()
    assert metered.times("settlement_cancel_attempts") == {
        ("FIRST", "NEVER_RECEIVED"): 1,
        ("CONFIRMING", "NEVER_RECEIVED"): 1,
    }
    assert metered.recorded("settlement_cancel_attempts") == [2, 1]


async def test_a_call_that_no_worker_reported_is_counted_once_and_without_a_duration(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    external = ScriptedExternalSystem(adjust=RuntimeError("the worker is gone"), cancels=[REVERSED])
    async with metered_saga(environment, ledger, external) as (saga, metered):
        await saga.result()
    assert metered.times("settlement_external_calls")["ADJUST", "UNKNOWN", "NONE", "WORKER_LOST"] == 1
    assert metered.times("settlement_external_call_duration") == {("CANCEL_ADJUST", "APPLIED"): 1}


async def test_every_failed_ledger_write_is_counted(environment: WorkflowEnvironment, ledger: FlakyLedger) -> None:
    ledger.down = True
    async with metered_saga(environment, ledger, ScriptedExternalSystem(adjust=APPLIED)) as (saga, metered):

        async def failed_twice() -> bool:
            return metered.times("settlement_ledger_writes")[("FAILED",)] >= 2

        await until(failed_twice)
        ledger.down = False
        await saga.result()
    assert metered.times("settlement_ledger_writes")[("OK",)] == 1


async def test_a_clock_that_runs_ahead_causes_no_negative_latency(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    """The meter raises an exception for a negative value, which would block the settlement."""
    external = ScriptedExternalSystem(adjust=APPLIED)
    async with metered_saga(environment, ledger, external, ahead_s=3600) as (saga, metered):
        assert (await saga.result()).state is State.SETTLED
    assert metered.recorded("settlement_accepted_to_decided") == [0]


async def test_no_label_contains_values_of_an_order(environment: WorkflowEnvironment, ledger: FlakyLedger) -> None:
    external = ScriptedExternalSystem(adjust=DIED_IN_THE_BODY, cancels=[FAILED, REVERSED])
    async with metered_saga(environment, ledger, external) as (saga, metered):
        await saga.result()
    metered.read()
    assert metered.values
    assert {label for _, labels, _ in metered.values for label in labels} <= OURS | SDKS


async def test_an_expired_order_counts_as_ended_without_a_call(
    environment: WorkflowEnvironment, ledger: FlakyLedger
) -> None:
    external = ScriptedExternalSystem(adjust=APPLIED)
    async with metered_saga(environment, ledger, external, ahead_s=-600) as (saga, metered):
        assert (await saga.result()).state is State.EXPIRED
    assert metered.times("settlement_ended") == {("EXPIRED",): 1}
    assert metered.times("settlement_external_calls") == {}
