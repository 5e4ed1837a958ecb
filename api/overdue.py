"""Take up what was accepted but never started: the process died, or Temporal was away, between the two.

Only settlements past their expiry are touched. Their caller was told to ask again and may since have
given up; so the workflow that is started here finds them stale and ends EXPIRED, without sending.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog

from api.batch_starts import start_running
from api.decisions import start
from api.metrics import CLOSED_WITHOUT_END
from api.problems import ProblemError
from api.services import Services
from contract.payloads import SettlementInput

log = structlog.get_logger()

INTERVAL_S = 15.0
SLACK_S = 10.0
"""Beyond the expiry: for a workflow that has started but whose first ledger write is still on its way, and for
this machine's clock, which must not be further than this ahead of Temporal's."""
BATCH = 100


async def run(services: Services) -> None:
    """Look again and again, until cancelled; whatever goes wrong only makes it look again later."""
    while True:
        await asyncio.sleep(INTERVAL_S)
        for look in (start_overdue, start_running):
            try:
                await look(services)
            except Exception:
                log.exception("overdue not taken up", look=look.__name__)


async def start_overdue(services: Services) -> int:
    """Start the workflow of each overdue settlement that has none; return how many were looked at.

    Safe beside other API processes and beside workers: a start that has happened is not repeated.
    """
    now = datetime.now(UTC)
    youngest = now - timedelta(seconds=SLACK_S)
    looked_at = 0
    after = None
    while page := await services.ledger.never_started(youngest, BATCH, after):
        for settlement in page:
            if now - settlement.accepted_at >= timedelta(seconds=settlement.policy.expire_after_s + SLACK_S):
                await _take_up(services, settlement)
                looked_at += 1
        after = (page[-1].accepted_at, page[-1].adjust.requestUniqueNo)
    return looked_at


async def _take_up(services: Services, settlement: SettlementInput) -> None:
    number = settlement.adjust.requestUniqueNo
    try:
        is_open = await start(services.temporal, settlement)
    except ProblemError as error:
        log.warning("not taken up", settlement=number, error=str(error))
        return
    if is_open:
        log.info("taken up", settlement=number)
    else:
        # Somebody ended it from outside, or Temporal was set back: a person must look at the broker's books.
        log.error("its workflow closed without an end in the ledger", settlement=number)
        CLOSED_WITHOUT_END.inc()
