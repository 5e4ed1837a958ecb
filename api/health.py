"""GET /healthz and /readyz: is the process alive, and can it do its work."""

import asyncio
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from api.services import Injected, Services
from api.temporal_access import Identity

log = structlog.get_logger()
router = APIRouter()

CHECK_LIMIT_S = 2.0


class Health(BaseModel):
    """Whether each part answers."""

    ok: bool
    ledger: bool = True
    temporal: bool = True
    temporal_identity: Identity | None = None
    """Whether this is the Temporal that the ledger belongs to; null where it was not asked for."""


@router.get("/healthz")
async def healthz() -> Health:
    """Answer if the process runs at all."""
    return Health(ok=True)


@router.get("/readyz", responses={503: {"model": Health, "description": "A part is out of reach"}})
async def readyz(services: Injected, response: Response) -> Health:
    """Answer 200 if settlements can be accepted: the ledger has its schema, and belongs to a Temporal that answers."""
    ledger, temporal = await asyncio.gather(_ledger_answers(services), _temporal_answers(services))
    identity = services.temporal.identity
    ok = ledger and temporal and identity is Identity.VERIFIED
    health = Health(ok=ok, ledger=ledger, temporal=temporal, temporal_identity=identity)
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
            answers = await services.temporal.answers()
    except (RPCError, RuntimeError, OSError) as error:
        log.warning("temporal not ready", error=type(error).__name__)
        return False
    await _verify(services)
    return answers


async def _verify(services: Services) -> None:
    """Compare Temporal with the ledger, unless that was done; what comes of it is `identity`."""
    try:
        async with asyncio.timeout(CHECK_LIMIT_S):
            await services.temporal.client()
    except (RPCError, RuntimeError, SQLAlchemyError, OSError) as error:
        log.warning("temporal not verified", error=type(error).__name__)
