"""GET /healthz and /readyz: is the process alive, and can it do its work."""

import asyncio
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from api.problems import documented
from api.services import Injected, Services

log = structlog.get_logger()
router = APIRouter()

CHECK_LIMIT_S = 2.0


class Health(BaseModel):
    """Whether each part answers."""

    ok: bool
    ledger: bool = True
    temporal: bool = True


@router.get("/healthz", responses=documented())
async def healthz() -> Health:
    """Answer if the process runs at all."""
    return Health(ok=True)


@router.get("/readyz", responses={503: {"model": Health, "description": "A part is out of reach"}, **documented()})
async def readyz(services: Injected, response: Response) -> Health:
    """Answer 200 if settlements can be accepted: the ledger has its schema and Temporal answers."""
    ledger, temporal = await asyncio.gather(_ledger_answers(services), _temporal_answers(services))
    health = Health(ok=ledger and temporal, ledger=ledger, temporal=temporal)
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
        async with asyncio.timeout(CHECK_LIMIT_S):
            return await services.temporal.service_client.check_health()
    except (RPCError, RuntimeError, OSError) as error:
        log.warning("temporal not ready", error=type(error).__name__)
        return False
