"""Records a change of the limits as a security event: at the start of a process, and when the file was reloaded."""

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256

import structlog
from sqlalchemy.exc import SQLAlchemyError

from api.services import Services
from ledger import SecurityEvents
from settlement.security_events import SecurityEventKind

log = structlog.get_logger()

CHECK_EVERY_S = 5.0
_DETAIL_MAX = 4000
"""Maximum characters of the limits in an event. The hash covers all of them."""


def limits_text(services: Services) -> str:
    """Return the limits in use as JSON: order limits, batch sums and the amounts that need a second operator."""
    limits = sorted((asdict(each) for each in services.order_limits.active.limits), key=lambda each: each["name"])
    settings = services.settings
    others = {"four_eyes_above": settings.four_eyes_above, "batch_sums_max": settings.batch_sums_max}
    return json.dumps({"order_limits": limits, **others}, sort_keys=True)


async def record_limits(services: Services) -> None:
    """Write an event if the limits in use are not the last recorded ones. Repeating it changes nothing.

    Two processes that start together may both write it.
    """
    text = limits_text(services)
    subject = sha256(text.encode()).hexdigest()
    events = SecurityEvents(services.ledger.engine)
    if await events.last_subject(SecurityEventKind.LIMITS_CHANGED) != subject:
        await events.add(SecurityEventKind.LIMITS_CHANGED, subject, datetime.now(UTC), text[:_DETAIL_MAX])
        log.warning("limits changed", limits=subject)


async def watch_limits(services: Services) -> None:
    """Record the limits now and after each change, until cancelled."""
    recorded: str | None = None
    while True:
        text = limits_text(services)
        if text != recorded:
            try:
                await record_limits(services)
                recorded = text
            except (SQLAlchemyError, OSError) as error:
                log.warning("limits not recorded yet", error=type(error).__name__)
        await asyncio.sleep(CHECK_EVERY_S)
