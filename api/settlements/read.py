"""Reads of settlements from the ledger alone: one settlement, a page of them, and the exposure. None needs Temporal."""

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.http.access import Reader
from api.http.page_cost import count_page
from api.http.problems import FieldError, ProblemError, documented
from api.http.strict_requests import PlainInt, PlainInt64
from api.services import Injected
from api.settlements.resource import NOT_IDENTIFIED, SETTLEMENTS, SettlementInPath, find_or_404, resource
from contract.fields import Moment, UniqueNo, UserName
from contract.model import Model
from ledger import SettlementFilter
from ledger.settlements import PAGE_LIMIT_MAX
from schemas.problems import ErrorCode
from schemas.settlement import Settlement
from settlement.calls import Rule
from settlement.exposure import Exposure, ExposureBy
from settlement.ids import SettlementId
from settlement.scope import Scope
from settlement.states import CancelResult, State
from settlement.system_names import SystemName

router = APIRouter()

CURSOR_LENGTH_MAX = 400
"""Enough for a time, a system, and a `requestUniqueNo` of 48 characters with 4 bytes each, in base64."""


class SettlementListQuery(BaseModel):
    """The filters of a list, combined with AND, and the position in it."""

    request_unique_no: UniqueNo | None = Field(
        default=None,
        alias="requestUniqueNo",
        description="The settlement's number, compared exactly: without trimming or normalisation.",
    )
    state: State | None = None
    order_id: PlainInt64 | None = Field(default=None, alias="orderId")
    user_name: UserName | None = Field(default=None, alias="userName")
    company_id: PlainInt64 | None = Field(default=None, alias="companyId")
    system: SystemName | None = Field(default=None, description="Name of the external system.")
    # Any three letters: a settlement stays searchable after its currency's code was withdrawn.
    currency: str | None = Field(default=None, pattern="^[A-Z]{3}$", description="ISO 4217 code", examples=["USD"])
    cancel_result: CancelResult | None = Field(default=None, alias="cancelResult")
    cause: Rule | None = Field(default=None, description="Rule of the last call of a CANCELLING or ABORTED settlement.")
    from_: Moment | None = Field(default=None, alias="from", description="Accepted at or after this time.")
    to: Moment | None = Field(default=None, description="Accepted before this time.")
    cursor: str | None = Field(default=None, max_length=CURSOR_LENGTH_MAX)
    limit: PlainInt = Field(default=50, ge=1, le=PAGE_LIMIT_MAX)

    def ledger_filter(self, scope: Scope) -> SettlementFilter:
        """Return the filters as the ledger takes them, for the settlements in a scope."""
        return SettlementFilter(
            scope=scope,
            request_unique_no=self.request_unique_no,
            state=self.state,
            order_id=self.order_id,
            user_name=self.user_name,
            company_id=self.company_id,
            system=self.system,
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
    """The `cursor` of the next page; null on the last page. It is opaque and never expires."""


class ExposureQuery(BaseModel):
    """How the exposure is broken down."""

    model_config = ConfigDict(extra="forbid")

    by: ExposureBy = ExposureBy.AGE


@router.get(
    SETTLEMENTS + "/{requestUniqueNo}",
    responses=documented(*NOT_IDENTIFIED, ErrorCode.LEDGER_UNAVAILABLE),
)
async def get_settlement(named: SettlementInPath, services: Injected, caller: Reader) -> Settlement:
    """Read one settlement with its complete audit, at any time: it does not depend on Temporal's retention.

    The answer may lag behind the workflow by one ledger write. It always shows a decision that a POST has returned.
    """
    found = await find_or_404(services, named, caller)
    return resource(services, found.settlement, found.snapshot)


@router.get(
    SETTLEMENTS,
    responses=documented(ErrorCode.VALIDATION_FAILED, ErrorCode.LEDGER_UNAVAILABLE),
)
async def list_settlements(
    services: Injected, query: Annotated[SettlementListQuery, Query()], caller: Reader
) -> SettlementPage:
    """List settlements in the scope of the key, newest first. Filters are combined with AND.

    Pages are stable: a settlement that is accepted meanwhile neither shifts nor repeats another one.
    """
    await count_page(services, caller, query.limit)
    where = query.ledger_filter(caller.scope)
    page = await services.ledger.page(where, after=_decode(query.cursor), limit=query.limit)
    return SettlementPage(
        items=tuple(resource(services, record.settlement, record.snapshot) for record in page.settlements),
        next_cursor=_encode(page.after),
    )


@router.get("/v1/exposure", responses=documented(ErrorCode.VALIDATION_FAILED, ErrorCode.LEDGER_UNAVAILABLE))
async def get_exposure(services: Injected, query: Annotated[ExposureQuery, Query()], caller: Reader) -> Exposure:
    """Sum up the money in doubt in the scope of the key: what external systems may hold although the order is void.

    That is every ABORTED settlement, and every CANCELLING one whose adjust was UNKNOWN. Absolute amounts are added:
    a deduction in doubt does not offset a credit in doubt.
    """
    return await services.ledger.exposure(datetime.now(UTC), query.by, caller.scope)


def _encode(after: tuple[datetime, SettlementId] | None) -> str | None:
    if after is None:
        return None
    accepted_at, settlement_id = after
    position = json.dumps([accepted_at.isoformat(), str(settlement_id)], ensure_ascii=False)
    return base64.urlsafe_b64encode(position.encode()).decode()


def _decode(cursor: str | None) -> tuple[datetime, SettlementId] | None:
    if cursor is None:
        return None
    try:
        accepted_at, text = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        moment = datetime.fromisoformat(accepted_at)
        if moment.tzinfo is None:
            raise _invalid_cursor()
        return moment.astimezone(UTC), SettlementId.parse(text)
    except (binascii.Error, ValueError, TypeError, AttributeError, OverflowError):
        raise _invalid_cursor() from None


def _invalid_cursor() -> ProblemError:
    broken = FieldError(field="cursor", rule="must be the nextCursor of an earlier page")
    return ProblemError(ErrorCode.VALIDATION_FAILED, f"{broken.field}: {broken.rule}", errors=[broken])
