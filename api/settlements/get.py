"""GET /v1/settlements/{requestUniqueNo}: one settlement with its whole audit, from the ledger alone."""

from fastapi import APIRouter

from api.http.access import Reader
from api.http.problems import documented
from api.services import Injected
from api.settlements.resource import SETTLEMENTS, NumberInPath, find_or_404, resource
from schemas.problems import ErrorCode
from schemas.settlement import Settlement

router = APIRouter()


@router.get(
    SETTLEMENTS + "/{requestUniqueNo}",
    responses=documented(ErrorCode.NOT_FOUND, ErrorCode.LEDGER_UNAVAILABLE),
)
async def get_settlement(number: NumberInPath, services: Injected, _: Reader) -> Settlement:
    """Read one settlement. Needs neither a worker nor Temporal, and outlives Temporal's retention.

    It may trail the workflow by one ledger write; a decision that a POST has answered is never missing.
    """
    found = await find_or_404(services, number)
    return resource(services, found.settlement, found.snapshot)
