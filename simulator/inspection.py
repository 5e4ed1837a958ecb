"""HTTP routes that show and control the simulator, for tests, demos and people; not part of the contract."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response, status
from fastapi.responses import StreamingResponse

from contract.fields import Moment, is_unique_no
from contract.model import Model
from contract.path_segments import number_in
from simulator.book_records import AccountView, NumberView
from simulator.call_journal import CallView
from simulator.outages import Outage
from simulator.replies import APPLIED, reply_body
from simulator.service import SimulatorService
from simulator.statement import statement

CALL_ID_MAX = 2**53
"""Larger than any call id, and the largest integer that JSON numbers hold exactly."""

router = APIRouter(prefix="/simulator", tags=["inspection"])


def _service(request: Request) -> SimulatorService:
    service: SimulatorService = request.app.state.service
    return service


Service = Annotated[SimulatorService, Depends(_service)]
_NUMBER_IN_PATH = "Percent-encoded, a slash too; the numbers `.` and `..` are written `%7F.` and `%7F..`."
_UNREADABLE_QUERY: dict[int | str, dict[str, Any]] = {
    422: {
        "description": "Validation Error",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}},
    }
}
"""The 422 of routes without parameters; FastAPI documents it only for routes with parameters."""
Limit = Annotated[int, Query(ge=1, le=10_000)]


class Accounts(Model):
    """Balances, ordered by customer and currency."""

    accounts: tuple[AccountView, ...]


class Calls(Model):
    """Requests, oldest first."""

    calls: tuple[CallView, ...]


class OutageList(Model):
    """The active outages; empty if everything works."""

    outages: tuple[Outage, ...]


class SimulatorHealth(Model):
    """Whether the simulator works completely."""

    status: str


class Refusal(Model):
    """Why a request was refused."""

    detail: str


@router.get(
    "/health",
    responses={
        503: {"description": "Delayed adjusts are no longer applied", "model": SimulatorHealth},
        **_UNREADABLE_QUERY,
    },
)
async def health(service: Service, response: Response) -> SimulatorHealth:
    """Answer 200 while the simulator works, 503 if delayed adjusts are no longer applied."""
    if service.healthy():
        return SimulatorHealth(status="ok")
    response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return SimulatorHealth(status="landing stopped")


@router.get("/elsewhere", include_in_schema=False)
async def redirect_target() -> dict[str, object]:
    """Answer "applied" without doing anything: this exposes a client that follows the fault `redirect`."""
    return reply_body(APPLIED, trace="", received_ns=time.time_ns())


@router.get(
    "/numbers/{number}",
    responses={404: {"description": "No number can look like this", "model": Refusal}},
)
async def number(number: Annotated[str, Path(description=_NUMBER_IN_PATH)], service: Service) -> NumberView:
    """Show what happened to an adjust number; an unknown number is NEVER_RECEIVED, not 404."""
    named = number_in(number)
    if not is_unique_no(named):
        raise HTTPException(status.HTTP_404_NOT_FOUND, "no number can look like this")
    return await service.database.run(service.handler.books.number, named)


@router.get("/accounts")
async def accounts(
    service: Service,
    customer: Annotated[str | None, Query(alias="thirdServerCode")] = None,
    limit: Limit = 1_000,
) -> Accounts:
    """Show the balances of one customer or of all."""
    return Accounts(accounts=tuple(await service.database.run(service.handler.books.accounts, customer, limit)))


@router.get("/calls")
async def calls(
    service: Service,
    number: str | None = None,
    after: Annotated[int, Query(ge=0, le=CALL_ID_MAX)] = 0,
    limit: Limit = 1_000,
) -> Calls:
    """Show the requests that carry or reverse a number, or all. `after` is the last id of the previous page."""
    return Calls(calls=tuple(await service.database.run(service.handler.journal.calls, number, after, limit)))


@router.get(
    "/statement",
    response_class=StreamingResponse,
    responses={200: {"description": "The statement", "content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def get_statement(
    service: Service,
    starts_at: Annotated[Moment, Query(alias="from", description="inclusive")],
    ends_at: Annotated[Moment, Query(alias="to", description="exclusive")],
) -> StreamingResponse:
    """Return the statement of a period as CSV: every amount that was applied or reversed, in order of time."""
    return StreamingResponse(statement(service.database, starts_at, ends_at), media_type="text/csv")


@router.get("/outage", responses=_UNREADABLE_QUERY)
async def outages(service: Service) -> OutageList:
    """Show the active outages."""
    return OutageList(outages=tuple(await service.database.run(service.handler.outages.active)))


@router.put("/outage", responses={400: {"description": "The body is not JSON", "model": Refusal}})
async def put_outage(outage: Outage, service: Service) -> OutageList:
    """Begin, change or end an outage; "off" without `companyId` ends all. Requests in flight are not affected."""
    await service.database.run(service.handler.outages.put, outage)
    return OutageList(outages=tuple(await service.database.run(service.handler.outages.active)))
