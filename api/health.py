"""GET /healthz and /readyz: whether the process is alive, and whether it can accept settlements."""

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
from api.external_systems import file_status
from api.http.problems import documented
from api.services import Services
from api.temporal_access import Identity
from config.sampling import SampledLog
from schemas.external_systems import FileStatus

log = SampledLog(structlog.get_logger())
router = APIRouter()

CHECK_LIMIT_S = 2.0
REUSE_S = 1.0
"""How long a result is reused. These routes need no key, and each check reads the ledger."""


class Health(BaseModel):
    """Whether the process and its dependencies respond."""

    ok: bool
    ledger: bool = True
    temporal: bool = True
    temporal_identity: Identity | None = None
    """Whether this is the Temporal that the ledger belongs to; null in the answer of /healthz."""
    external_systems: FileStatus | None = None
    """Whether the newest content of the file of external systems is in use; null without a file, and in the answer of
    /healthz. With REJECTED the previous content is in use, so orders are still accepted."""
    order_limits: FileStatus | None = None
    """The same for the file of order limits."""
    payload_keys: FileStatus | None = None
    """The same for the file of payload keys."""


@router.get("/healthz", responses=documented())
async def healthz() -> Health:
    """Answer 200 while the process runs."""
    return Health(ok=True)


class Readiness:
    """Checks whether the ledger and Temporal respond. Concurrent and frequent probes share the result of one check."""

    def __init__(self, services: Services, clock: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._clock = clock
        self._check: asyncio.Task[Health] | None = None
        self._checked_at = -math.inf

    async def current(self) -> Health:
        """Return the result of the last check. Repeat the check if it ended more than `REUSE_S` ago."""
        if self._check is None or (self._check.done() and self._clock() - self._checked_at >= REUSE_S):
            self._check = asyncio.create_task(self._check_both())
        return await asyncio.shield(self._check)

    async def _check_both(self) -> Health:
        ledger, temporal = await asyncio.gather(_ledger_is_up(self._services), _temporal_is_up(self._services))
        self._checked_at = self._clock()
        identity, codec = self._services.temporal.identity, self._services.codec
        ok = ledger and temporal and identity is Identity.VERIFIED
        return Health(
            ok=ok,
            ledger=ledger,
            temporal=temporal,
            temporal_identity=identity,
            external_systems=file_status(self._services.systems.file),
            order_limits=file_status(self._services.order_limits.file),
            payload_keys=file_status(codec.keys.watched.file) if codec is not None else None,
        )


@router.get(
    "/readyz",
    responses={
        503: {"model": Health, "description": "The ledger or Temporal is unreachable, or they do not belong together"},
        **documented(),
    },
)
async def readyz(request: Request, response: Response) -> Health:
    """Answer 200 if settlements can be accepted: the ledger has its schema, and its Temporal responds.

    The result may be up to one second old.
    """
    readiness: Readiness = request.app.state.readiness
    health = await readiness.current()
    if not health.ok:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return health


async def _ledger_is_up(services: Services) -> bool:
    try:
        async with asyncio.timeout(CHECK_LIMIT_S):
            await services.ledger.check()
    except (SQLAlchemyError, OSError) as error:
        log.warning("ledger not ready", error=type(error).__name__)
        return False
    return True


async def _temporal_is_up(services: Services) -> bool:
    try:
        async with calling_temporal(CHECK_LIMIT_S):
            is_up = await services.temporal.is_up()
    except TemporalCallError as error:
        log.warning("temporal not ready", error=type(error).__name__)
        return False
    await _verify(services)
    return is_up


async def _verify(services: Services) -> None:
    """Compare Temporal with the ledger if that has not been done. The result is `TemporalAccess.identity`."""
    try:
        async with asyncio.timeout(CHECK_LIMIT_S):
            await services.temporal.client()
    except (TemporalCallError, SQLAlchemyError, OSError) as error:
        log.warning("temporal not verified", error=type(error).__name__)
