"""GET /healthz and /readyz: is the process alive, and can it do its work."""

import asyncio
import math
import time
from collections.abc import Callable
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from activities.temporal_calls import TemporalCallError, calling_temporal
from api.http.problems import documented
from api.services import Services
from api.temporal_access import Identity
from config.sampling import SampledLog

log = SampledLog(structlog.get_logger())
router = APIRouter()

CHECK_LIMIT_S = 2.0
REUSED_S = 1.0
"""How long the result of a look counts: these routes need no key, and each look costs a read of the ledger."""


class Health(BaseModel):
    """Whether each part answers."""

    ok: bool
    ledger: bool = True
    temporal: bool = True
    temporal_identity: Identity | None = None
    """Whether this is the Temporal that the ledger belongs to; null where it was not asked for."""


@router.get("/healthz", responses=documented())
async def healthz() -> Health:
    """Answer if the process runs at all."""
    return Health(ok=True)


class Readiness:
    """Checks whether the ledger and Temporal answer. Anybody may ask, so probes share the result of one check."""

    def __init__(self, services: Services, clock: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._clock = clock
        self._look: asyncio.Task[Health] | None = None
        self._looked_at = -math.inf

    async def now(self) -> Health:
        """Return what the last look has found; one that ended more than `REUSED_S` ago is repeated."""
        if self._look is None or (self._look.done() and self._clock() - self._looked_at >= REUSED_S):
            self._look = asyncio.create_task(self._look_at_both())
        return await asyncio.shield(self._look)

    async def _look_at_both(self) -> Health:
        ledger, temporal = await asyncio.gather(_ledger_answers(self._services), _temporal_answers(self._services))
        self._looked_at = self._clock()
        identity = self._services.temporal.identity
        ok = ledger and temporal and identity is Identity.VERIFIED
        return Health(ok=ok, ledger=ledger, temporal=temporal, temporal_identity=identity)


@router.get("/readyz", responses={503: {"model": Health, "description": "A part is out of reach"}, **documented()})
async def readyz(request: Request, response: Response) -> Health:
    """Answer 200 if settlements can be accepted: the ledger has its schema, and belongs to a Temporal that answers.

    The answer may be up to one second old.
    """
    readiness: Readiness = request.app.state.readiness
    health = await readiness.now()
    if not health.ok:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return health


async def _ledger_answers(services: Services) -> bool:
    try:
        async with asyncio.timeout(CHECK_LIMIT_S):
            await services.ledger.check()
    except (SQLAlchemyError, OSError) as error:
        log.warning("ledger not ready", error=type(error).__name__)
        return False
    return True


async def _temporal_answers(services: Services) -> bool:
    try:
        async with calling_temporal(CHECK_LIMIT_S):
            answers = await services.temporal.answers()
    except TemporalCallError as error:
        log.warning("temporal not ready", error=type(error).__name__)
        return False
    await _verify(services)
    return answers


async def _verify(services: Services) -> None:
    """Compare Temporal with the ledger, unless that was done; what comes of it is `identity`."""
    try:
        async with asyncio.timeout(CHECK_LIMIT_S):
            await services.temporal.client()
    except (TemporalCallError, SQLAlchemyError, OSError) as error:
        log.warning("temporal not verified", error=type(error).__name__)
