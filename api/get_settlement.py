"""GET /v1/settlements/{requestUniqueNo}: one settlement with its whole audit, from the ledger alone."""

from fastapi import APIRouter

from api.access import Reader
from api.problems import documented
from api.resource import SETTLEMENTS, NumberInPath, find_or_404, resource
from api.services import Injected
from contract.errors import ErrorCode
from contract.settlement import Settlement

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
