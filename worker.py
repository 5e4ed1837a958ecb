"""The worker process (`python worker.py`): runs workflows, calls the external system, writes the ledger."""

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.common import MetricMeter
from temporalio.worker import Worker

from activities import metrics as call_metrics
from activities.adjust import Adjust
from activities.batch_retry import EndBatch, RetrySettlements
from activities.breaker_reports import BreakerReporter
from activities.bulkhead import Bulkhead
from activities.call_admission import CallAdmission
from activities.cancel_adjust import CancelAdjust
from activities.local_decisions import LocalDecisions
from activities.reconciliation.compare import CheckLedger, CheckTemporal, RecordRound, ReviewFindings
from activities.reconciliation.repair import Reconciler, WhyUnusable
from activities.reconciliation.start_batches import StartBatches
from activities.record_settlement import RecordSettlement
from activities.temporal_calls import TemporalRefusedError, calling_temporal
from activities.temporal_guard import TemporalGuard, WrongTemporalError
from config.logging import configure_logging
from config.payload_keys import FILE_CURRENT, FILE_CURRENT_HELP, FileKeys, load_payload_keys, payload_codec
from config.process import ShutdownLimit, keep_files_private
from config.settings import Settings, load_settings
from config.shared_secrets import load_update_key
from config.temporal import connect, prometheus_runtime, register_search_attributes
from config.temporal_connection import TemporalUnreachableError
from config.tracing import open_tracing
from config.watched_file import reload_on_sighup
from connector import SystemsByName
from ledger import Batches, BreakerReports, Ledger, open_engine
from settlement.limits import ADJUST_START_TO_CLOSE
from settlement.update_signature import UpdateSigner
from worker_systems import WorkerSystems
from workflows import metrics as saga_metrics
from workflows.batch_retry.start import start_batch
from workflows.batch_retry.workflow import BatchRetry
from workflows.order_settlement import OrderSettlement
from workflows.reconciliation.schedule import ensure_schedule
from workflows.reconciliation.workflow import Reconciliation
from workflows.runtime import (
    BATCH_TASK_QUEUE,
    CANCEL_TASK_QUEUE,
    LEDGER_TASK_QUEUE,
    RECONCILIATION_TASK_QUEUE,
    SETTLEMENT_TASK_QUEUE,
    data_converter,
    workflow_runner,
)
from workflows.sender_check import SenderCheck
from workflows.start import take_up
from workflows.visibility import SEARCH_ATTRIBUTES

log = structlog.get_logger()

LEDGER_SLOTS = 20
"""Maximum concurrent ledger writes. More would only wait in the database."""

BATCH_SLOTS = 5
"""Maximum concurrent chunks of batches. Each chunk has at most the settlements of one second."""

RECONCILIATION_SLOTS = 2
"""Enough for reconciliation, which runs one round at a time."""

GRACE = ADJUST_START_TO_CLOSE
"""Time for calls in flight to complete after SIGTERM. With less time, some would be UNKNOWN without need."""

END_LIMIT_S = GRACE.total_seconds() + 3
"""Maximum seconds from SIGTERM to the end of the process. Without it, a worker waits minutes for a frozen Temporal."""

STICKY_TIMEOUT = timedelta(seconds=5)
"""How long a workflow task waits for the worker that has the workflow cached, before any worker may take it. After a
worker is killed, its decisions are late by this time. With a shorter value, tasks would time out in the queue during
a burst, and their workflows would be replayed from the start."""


def settlement_worker(
    client: Client, adjust: Adjust, record: RecordSettlement, sender_check: SenderCheck, slots: int
) -> Worker:
    """Return the worker for workflows and adjusts, with `slots` concurrent adjusts.

    Ledger writes within a workflow task need no slot of the ledger's queue: they are local activities of this worker.
    """
    return Worker(
        client,
        task_queue=SETTLEMENT_TASK_QUEUE,
        workflows=[OrderSettlement, BatchRetry],
        workflow_runner=workflow_runner(),
        activities=[adjust.adjust, record.record_at_once],
        interceptors=[sender_check],
        max_concurrent_activities=slots,
        graceful_shutdown_timeout=GRACE,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
    )


def cancel_worker(client: Client, systems: SystemsByName, slots: int, admission: CallAdmission) -> Worker:
    """Return the worker for cancels, on separate slots (see `CANCEL_TASK_QUEUE`)."""
    return _activity_worker(client, CANCEL_TASK_QUEUE, slots, CancelAdjust(systems, admission).cancel_adjust)


def ledger_worker(client: Client, record: RecordSettlement) -> Worker:
    """Return the worker for durable ledger writes, on separate slots (see `LEDGER_TASK_QUEUE`)."""
    return _activity_worker(client, LEDGER_TASK_QUEUE, LEDGER_SLOTS, record.record_settlement)


def batch_worker(client: Client, batches: Batches, signer: UpdateSigner) -> Worker:
    """Return the worker for chunks of batches (see `BATCH_TASK_QUEUE`)."""
    reconciler = Reconciler(client, batches.engine, take_up)
    chunks = RetrySettlements(client, batches, reconciler, signer).retry_settlements
    ends = EndBatch(batches).end_batch
    return _activity_worker(client, BATCH_TASK_QUEUE, BATCH_SLOTS, chunks, ends)


def _activity_worker(client: Client, task_queue: str, slots: int, *activities: Callable[..., Any]) -> Worker:
    return Worker(
        client,
        task_queue=task_queue,
        activities=activities,
        max_concurrent_activities=slots,
        graceful_shutdown_timeout=GRACE,
    )


def reconciliation_worker(client: Client, engine: AsyncEngine, why_unusable: WhyUnusable) -> Worker:
    """Return the worker for rounds of reconciliation (see `RECONCILIATION_TASK_QUEUE`)."""
    reconciler = Reconciler(client, engine, take_up, why_unusable)
    return Worker(
        client,
        task_queue=RECONCILIATION_TASK_QUEUE,
        workflows=[Reconciliation],
        workflow_runner=workflow_runner(),
        activities=[
            StartBatches(client, Batches(engine), reconciler, start_batch).start_batches,
            CheckLedger(reconciler).check_ledger,
            CheckTemporal(reconciler).check_temporal,
            ReviewFindings(reconciler).review_findings,
            RecordRound(reconciler.findings).record_round,
        ],
        max_concurrent_activities=RECONCILIATION_SLOTS,
        max_concurrent_workflow_tasks=RECONCILIATION_SLOTS,
        graceful_shutdown_timeout=GRACE,
    )


async def run(
    settings: Settings,
    stop: asyncio.Event,
    running: list[Worker],
    *,
    decisions: LocalDecisions | None = None,
    on_ready: Callable[[Client], None] = lambda _: None,
) -> None:
    """Run the workers until `stop` is set; then complete the tasks in flight. The workers are added to `running`.

    `decisions` get every decision of these workers. `on_ready` is called with their client as soon as all of them run.
    """
    runtime = prometheus_runtime(
        settings.worker_metrics_host, settings.worker_metrics_port, {**call_metrics.BUCKETS, **saga_metrics.BUCKETS}
    )
    update_key, payload_keys = load_update_key(settings), load_payload_keys(settings)
    async with AsyncExitStack() as stack:
        engine = open_engine(settings.ledger_url)
        stack.push_async_callback(engine.dispose)
        systems = WorkerSystems(settings)
        stack.push_async_callback(systems.clients.close)
        tracing = open_tracing("order-settlement-worker")
        stack.push_async_callback(tracing.close)
        client = await connect(
            data_converter(payload_codec(payload_keys)),
            f"127.0.0.1:{settings.temporal_port}",
            runtime=runtime,
            interceptors=tracing.interceptors,
        )
        guard = TemporalGuard(client, engine, "worker")
        await guard.check_at_start()
        await _register_search_attributes(client)
        await ensure_schedule(client, settings.reconcile_every_s)
        reload_on_sighup(systems.watched, *([payload_keys.watched] if payload_keys else []))
        watching = asyncio.create_task(systems.watch(runtime.metric_meter))
        stack.callback(watching.cancel)
        stack.callback(asyncio.create_task(_watch_payload_keys(payload_keys, runtime.metric_meter)).cancel)
        reporting = asyncio.create_task(BreakerReporter(systems.admission, BreakerReports(engine)).run())
        stack.callback(reporting.cancel)
        running += _workers(client, engine, systems, settings, signer=UpdateSigner(update_key), decisions=decisions)
        for each in running:
            await stack.enter_async_context(each)
        log.info(
            "worker ready",
            external_systems={name: entry.address for name, entry in systems.watched.active.entries.items()},
            slots=settings.worker_slots,
            company_slots=settings.slots_of_one_company,
        )
        on_ready(client)
        await _until_stopped(stop, guard)
        log.info("worker draining", grace_s=GRACE.total_seconds(), limit_s=END_LIMIT_S)
        # Concurrently: sequentially, each shutdown could take the whole grace period.
        await asyncio.gather(*(each.shutdown() for each in running))


async def _watch_payload_keys(keys: FileKeys | None, meter: MetricMeter) -> None:
    """Follow the file of payload keys until cancelled, and show in a metric whether its newest content is in use."""
    gauge = meter.create_gauge(FILE_CURRENT, FILE_CURRENT_HELP)
    gauge.set(1)
    if keys is not None:
        await keys.watched.watch(lambda: gauge.set(int(keys.watched.file.is_current)))


def _workers(  # noqa: PLR0913 - the parts of the process, composed here
    client: Client,
    engine: AsyncEngine,
    systems: WorkerSystems,
    settings: Settings,
    *,
    signer: UpdateSigner,
    decisions: LocalDecisions | None,
) -> tuple[Worker, ...]:
    """Return one worker for each task queue. The adjusts come last: cancels and ledger writes are ready before."""
    slots = settings.worker_slots
    bulkhead = Bulkhead(settings.slots_of_one_company, settings.slots_of_only_company)
    adjust = Adjust(systems.clients, bulkhead, systems.admission)
    record = RecordSettlement(Ledger(engine), decisions)
    sender_check = SenderCheck(signer, ui_acts=settings.ui_acts == "on")
    return (
        ledger_worker(client, record),
        batch_worker(client, Batches(engine), signer),
        reconciliation_worker(client, engine, systems.clients.why_unusable),
        cancel_worker(client, systems.clients, slots, systems.admission),
        settlement_worker(client, adjust, record, sender_check, slots),
    )


async def _register_search_attributes(client: Client) -> None:
    """Register the missing search attributes. Without permission, log which ones an administrator must add."""
    try:
        async with calling_temporal():
            await register_search_attributes(client, SEARCH_ATTRIBUTES)
    except TemporalRefusedError as refused:
        needed = sorted(key.name for key in SEARCH_ATTRIBUTES)
        log.warning("search attributes not checked", needed=needed, error=str(refused))


async def _until_stopped(stop: asyncio.Event, guard: TemporalGuard) -> None:
    """Return when `stop` is set. Raise WrongTemporalError if the server is replaced by another one."""
    stopped, watched = asyncio.create_task(stop.wait()), asyncio.create_task(guard.watch())
    try:
        await asyncio.wait({stopped, watched}, return_when=asyncio.FIRST_COMPLETED)
        if watched.done():
            watched.result()
    finally:
        stopped.cancel()
        watched.cancel()


async def main() -> int:
    """Run until SIGTERM or SIGINT. A second signal, or `END_LIMIT_S` after the first, ends the process immediately.

    Returns the exit code: 1 if the ledger is bound to another Temporal namespace or Temporal cannot be reached at the
    start, else 0.
    """
    keep_files_private()
    settings = load_settings()
    configure_logging(settings.log_format, settings.log_level)
    stop = asyncio.Event()
    running: list[Worker] = []
    shutdown_limit = ShutdownLimit(END_LIMIT_S, lambda: [each.task_queue for each in running if each.is_running])

    def on_signal(number: int) -> None:
        shutdown_limit.on_signal(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
    try:
        await run(settings, stop, running)
    except (TemporalUnreachableError, WrongTemporalError) as wrong:
        print(f"worker not started, or stopped: {wrong}", file=sys.stderr)  # noqa: T201 - a command's error output
        return 1
    log.info("worker stopped")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
