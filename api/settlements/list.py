"""GET /v1/settlements: keyset pages, newest first."""

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.http.access import Reader
from api.http.parameters import PlainInt, PlainInt64
from api.http.problems import FieldError, ProblemError, documented
from api.services import Injected
from api.settlements.resource import SETTLEMENTS, resource
from contract.fields import Moment, UniqueNo, UserName, is_unique_no
from contract.model import Model
from ledger import SettlementFilter
from ledger.settlements import PAGE_LIMIT_MAX
from schemas.problems import ErrorCode
from schemas.settlement import Settlement
from settlement.calls import Rule
from settlement.states import CancelResult, State

router = APIRouter()

CURSOR_LENGTH_MAX = 400
"""Room for a moment and for a number of 48 characters of 4 bytes, in base64."""


class SettlementListQuery(BaseModel):
    """What may be asked for."""

    request_unique_no: UniqueNo | None = Field(
        default=None, alias="requestUniqueNo", description="Its number, exactly: no trimming, no normalisation."
    )
    state: State | None = None
    order_id: PlainInt64 | None = Field(default=None, alias="orderId")
    user_name: UserName | None = Field(default=None, alias="userName")
    company_id: PlainInt64 | None = Field(default=None, alias="companyId")
    # Any code, not only one of today's: what was accepted under one that was given up stays to be found.
    currency: str | None = Field(default=None, pattern="^[A-Z]{3}$", description="ISO 4217 code", examples=["USD"])
    cancel_result: CancelResult | None = Field(default=None, alias="cancelResult")
    cause: Rule | None = Field(default=None, description="Rule of the last call of one that is CANCELLING or ABORTED.")
    from_: Moment | None = Field(default=None, alias="from", description="Accepted at or after.")
    to: Moment | None = Field(default=None, description="Accepted before.")
    cursor: str | None = Field(default=None, max_length=CURSOR_LENGTH_MAX)
    limit: PlainInt = Field(default=50, ge=1, le=PAGE_LIMIT_MAX)

    @property
    def where(self) -> SettlementFilter:
        """What the ledger is asked for."""
        return SettlementFilter(
            request_unique_no=self.request_unique_no,
            state=self.state,
            order_id=self.order_id,
            user_name=self.user_name,
            company_id=self.company_id,
            currency=self.currency,
            cancel_result=self.cancel_result,
            cause=self.cause,
            accepted_from=self.from_,
            accepted_before=self.to,
        )


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
    services: Injected, query: Annotated[SettlementListQuery, Query()], _: Reader
) -> SettlementPage:
    """List settlements that fit every filter given.

    One that is accepted while pages are read neither moves nor repeats another.
    """
    page = await services.ledger.page(query.where, after=_decode(query.cursor), limit=query.limit)
    return SettlementPage(
        items=tuple(resource(services, each.settlement, each.snapshot) for each in page.settlements),
        next_cursor=_encode(page.after),
    )


def _encode(after: tuple[datetime, str] | None) -> str | None:
    if after is None:
        return None
    accepted_at, number = after
    return base64.urlsafe_b64encode(json.dumps([accepted_at.isoformat(), number], ensure_ascii=False).encode()).decode()


def _decode(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    try:
        accepted_at, number = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        moment = datetime.fromisoformat(accepted_at)
        if moment.tzinfo is None:
            raise _not_a_cursor()
        moment = moment.astimezone(UTC)
    except (binascii.Error, ValueError, TypeError, OverflowError):
        raise _not_a_cursor() from None
    if not is_unique_no(number):
        raise _not_a_cursor()
    return moment, number


def _not_a_cursor() -> ProblemError:
    broken = FieldError(field="cursor", rule="must be a nextCursor as an earlier page gave it")
    return ProblemError(ErrorCode.VALIDATION_FAILED, f"{broken.field}: {broken.rule}", errors=[broken])
