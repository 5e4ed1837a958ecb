"""Start the workflows of batches: when one is begun, and again and again for as long as the ledger has it as RUNNING.

The ledger's row is the order; the workflow follows from it. So a batch that was begun while Temporal was away, or
whose workflow was ended from outside, goes on by itself.
"""

import asyncio

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.temporal_calls import TemporalCallError, calling_temporal
from api.services import Services
from settlement.batch_retry import Batch
from workflows.batch_retry.start import start_batch

log = structlog.get_logger()

INTERVAL_S = 15.0
START_LIMIT_S = 3.0


async def run(services: Services) -> None:
    """Look for batches without a workflow until cancelled; whatever goes wrong, it looks again later."""
    while True:
        await asyncio.sleep(INTERVAL_S)
        try:
            await start_running(services)
        except Exception:
            log.exception("running batches not looked at")


async def start(services: Services, batch: Batch) -> None:
    """Start a batch's workflow unless it runs; without Temporal, leave it to the next look at what is running."""
    try:
        async with calling_temporal(START_LIMIT_S):
            await start_batch(await services.temporal.client(), batch)
    except WorkflowAlreadyStartedError:
        # It has come to its end since the ledger was read.
        return
    except (TemporalCallError, SQLAlchemyError, OSError) as error:
        log.warning("batch not started yet", batch=batch.batch_id, error=str(error) or type(error).__name__)


async def start_running(services: Services) -> int:
    """Start the workflow of each running batch that has none; return how many were looked at.

    Safe beside other API processes and beside workers: a workflow that runs is joined.
    """
    running = await services.batches.running()
    for batch in running:
        await start(services, batch)
    return len(running)
