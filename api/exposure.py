"""GET /v1/exposure: money in doubt, from the ledger alone."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from api.http.access import Reader
from api.http.problems import documented
from api.services import Injected
from schemas.problems import ErrorCode
from settlement.exposure import Exposure, ExposureBy

router = APIRouter()


class ExposureQuery(BaseModel):
    """How the money is broken down."""

    model_config = ConfigDict(extra="forbid")

    by: ExposureBy = ExposureBy.AGE


@router.get("/v1/exposure", responses=documented(ErrorCode.VALIDATION_FAILED, ErrorCode.LEDGER_UNAVAILABLE))
async def get_exposure(services: Injected, query: Annotated[ExposureQuery, Query()], _: Reader) -> Exposure:
    """Sum up what external systems may hold although its order is void: ABORTED, and CANCELLING after an unknown.

    Needs neither a worker nor Temporal. Amounts are added up without their signs: a deduction in doubt does not
    make up for a credit in doubt.
    """
    return await services.ledger.exposure(datetime.now(UTC), query.by)
