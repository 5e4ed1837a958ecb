"""GET /v1/settlements: keyset pages, newest first."""

import base64
import binascii
import json
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from api.problems import FieldError, ProblemError, documented
from api.resource import SETTLEMENTS, resource
from api.services import Injected
from contract.errors import ErrorCode
from contract.model import Model
from contract.settlement import Settlement
from contract.states import State
from ledger.ledger import PAGE_LIMIT_MAX

router = APIRouter()


class SettlementPage(Model):
    """Settlements in order of acceptance, newest first."""

    items: tuple[Settlement, ...]
    next_cursor: str | None
    """Ask for the next page with it; null on the last one. Opaque, and good for ever."""


@router.get(
    SETTLEMENTS,
    responses=documented(ErrorCode.VALIDATION_FAILED, ErrorCode.LEDGER_UNAVAILABLE),
)
async def list_settlements(
    services: Injected,
    state: State | None = None,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT_MAX)] = 50,
) -> SettlementPage:
    """List settlements. One that is accepted while pages are read neither moves nor repeats another."""
    page = await services.ledger.page(state=state, after=_decode(cursor), limit=limit)
    return SettlementPage(
        items=tuple(resource(services, each.settlement, each.snapshot) for each in page.settlements),
        next_cursor=_encode(page.after),
    )


def _encode(after: tuple[datetime, str] | None) -> str | None:
    if after is None:
        return None
    accepted_at, number = after
    return base64.urlsafe_b64encode(json.dumps([accepted_at.isoformat(), number]).encode()).decode()


def _decode(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    try:
        accepted_at, number = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        moment = datetime.fromisoformat(accepted_at)
    except (binascii.Error, ValueError, TypeError) as error:
        broken = FieldError(field="cursor", rule="must be a nextCursor as an earlier page gave it")
        raise ProblemError(ErrorCode.VALIDATION_FAILED, f"cursor: {broken.rule}", errors=[broken]) from error
    if moment.tzinfo is None or not isinstance(number, str) or "\0" in number:
        broken = FieldError(field="cursor", rule="must be a nextCursor as an earlier page gave it")
        raise ProblemError(ErrorCode.VALIDATION_FAILED, f"cursor: {broken.rule}", errors=[broken])
    return moment, number
