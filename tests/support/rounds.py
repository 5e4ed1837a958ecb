"""Rounds of reconciliation over parts that a test makes up: the workflow is real, what it looks at is not."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from settlement import limits
from settlement.reconciliation import RoundEnd, ScanResult, ScanTask
from tests.support.histories import without_stack_traces
from tests.support.patient_worker import PatientWorker
from tests.support.sagas import sandboxed_runner
from workflows.reconciliation.workflow import Reconciliation
from workflows.runtime import RECONCILIATION_TASK_QUEUE

Part = ScanResult | None
"""None: it cannot be read."""


def part(
    checked: int = 1, after: str | None = None, *, found: int = 0, repaired: int = 0, failed: int = 0
) -> ScanResult:
    """Return what one part comes to."""
    return ScanResult(checked=checked, found=found, repaired=repaired, failed=failed, after=after)


@dataclass
class Parts:
    """The answers of each way, in order; the last one is repeated."""

    batches: Sequence[Part] = (part(0),)
    temporal: Sequence[Part] = (part(0),)
    ledger: Sequence[Part] = (part(0),)
    findings: Sequence[Part] = (part(0),)
    ledger_is_away: bool = False
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    ends: list[RoundEnd] = field(default_factory=list)
    reviews: list[ScanTask] = field(default_factory=list)

    @activity.defn(name="start_batches")
    async def start_batches(self, task: ScanTask) -> ScanResult:
        """Answer with the next part of the batches."""
        return self._next("batches", self.batches, task)

    @activity.defn(name="check_temporal")
    async def check_temporal(self, task: ScanTask) -> ScanResult:
        """Answer with the next part of Temporal."""
        return self._next("temporal", self.temporal, task)

    @activity.defn(name="check_ledger")
    async def check_ledger(self, task: ScanTask) -> ScanResult:
        """Answer with the next part of the ledger."""
        return self._next("ledger", self.ledger, task)

    @activity.defn(name="review_findings")
    async def review_findings(self, task: ScanTask) -> ScanResult:
        """Answer with the next part of the findings."""
        self.reviews.append(task)
        return self._next("findings", self.findings, task)

    @activity.defn(name="record_round")
    async def record_round(self, end: RoundEnd) -> None:
        """Keep the round."""
        if self.ledger_is_away:
            message = "the ledger is away"
            raise ApplicationError(message)
        self.ends.append(end)

    def asked_after(self, way: str) -> list[str | None]:
        """Return from where on one way was asked to go."""
        return [after for each, after in self.asked if each == way]

    def _next(self, way: str, answers: Sequence[Part], task: ScanTask) -> ScanResult:
        answer = answers[min(len(self.asked_after(way)), len(answers) - 1)]
        self.asked.append((way, task.after))
        if answer is None:
            message = f"{way} cannot be read"
            raise ApplicationError(message)
        return answer


@asynccontextmanager
async def looking_at(client: Client, parts: Parts) -> AsyncIterator[None]:
    """Run a worker whose rounds look at these parts. Every task replays the whole history so far."""
    looks: list[Callable[..., Any]] = [
        parts.start_batches,
        parts.check_temporal,
        parts.check_ledger,
        parts.review_findings,
        parts.record_round,
    ]
    async with PatientWorker(
        client,
        task_queue=RECONCILIATION_TASK_QUEUE,
        workflows=[Reconciliation],
        workflow_runner=sandboxed_runner(),
        activities=looks,
        max_cached_workflows=0,
    ):
        yield


def round_stories() -> dict[str, Parts]:
    """Return one story for each shape a round's history can have, by name; none begins like one of a settlement."""
    return {
        "round-nothing-to-do": Parts(),
        "round-several-parts": Parts(
            temporal=(part(500, "t1"), part(20, found=2, repaired=2)),
            ledger=(part(100, "l1"), part(100, "l2"), part(7, found=1)),
            findings=(part(100, "100"), part(3)),
        ),
        "round-more-than-one-may-look-at": Parts(ledger=(part(limits.RECONCILE_CHECKED_MAX, "l1"),)),
        "round-a-side-that-cannot-be-read": Parts(temporal=(None,), ledger=(part(3),)),
    }


async def history_of_round(environment: WorkflowEnvironment, name: str, parts: Parts) -> str:
    """Run a story and return its history as JSON."""
    async with looking_at(environment.client, parts):
        handle = await environment.client.start_workflow(
            Reconciliation.run, id=f"story-{name}", task_queue=RECONCILIATION_TASK_QUEUE
        )
        await handle.result()
        return without_stack_traces((await handle.fetch_history()).to_json())
