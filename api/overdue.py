"""Take up what was accepted but never started: the process died, or Temporal was away, between the two.

Only settlements past their expiry are touched. Their caller was told to ask again and may since have
given up; so the workflow that is started here finds them stale and ends EXPIRED, without sending.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from api.decisions import start
from api.problems import ProblemError
from api.services import Services

log = structlog.get_logger()

INTERVAL_S = 15.0
SLACK_S = 5.0
"""Beyond the expiry, for a workflow that has started but whose first ledger write is still on its way."""
BATCH_MAX = 100


async def run(services: Services) -> None:
    """Look again and again, until cancelled; an outage only makes it look again later."""
    while True:
        await asyncio.sleep(INTERVAL_S)
        try:
            await start_overdue(services)
        except (ProblemError, SQLAlchemyError, OSError) as error:
            log.warning("overdue settlements not taken up", error=str(error))


async def start_overdue(services: Services) -> int:
    """Start the workflow of each overdue settlement that has none; return how many were looked at.

    Safe beside other API processes and beside workers: a start that has happened is not repeated.
    """
    now = datetime.now(UTC)
    shortest = timedelta(seconds=services.settings.expire_after_s + SLACK_S)
    overdue = await services.ledger.never_started(now - shortest, BATCH_MAX)
    for settlement in overdue:
        if now - settlement.accepted_at >= timedelta(seconds=settlement.policy.expire_after_s):
            log.info("taking up", settlement=settlement.adjust.requestUniqueNo)
            await start(services.temporal, settlement)
    return len(overdue)
