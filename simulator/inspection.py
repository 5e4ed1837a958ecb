"""The window into the simulator for tests, demonstrations and people; no part of the contract."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response, status

from contract.fields import is_unique_no
from contract.model import Model
from contract.paths import number_in
from simulator.bookings import AccountView, NumberView
from simulator.journal import CallView
from simulator.office import Office
from simulator.outages import Outage
from simulator.replies import APPLIED, table_4

CALL_ID_MAX = 2**53
"""Far beyond any call, and a number that JSON and a document's bounds hold exactly."""

router = APIRouter(prefix="/simulator", tags=["inspection"])


def _office(request: Request) -> Office:
    office: Office = request.app.state.office
    return office


OpenOffice = Annotated[Office, Depends(_office)]
_NUMBER_IN_PATH = "Percent-encoded, a slash too; the numbers `.` and `..` are written `%7F.` and `%7F..`."
_UNREADABLE_QUERY: dict[int | str, dict[str, Any]] = {
    422: {
        "description": "Validation Error",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}},
    }
}
"""For routes without parameters, to which FastAPI gives no 422."""
Limit = Annotated[int, Query(ge=1, le=10_000)]


class Accounts(Model):
    """Balances, ordered by customer and currency."""

    accounts: tuple[AccountView, ...]


class Calls(Model):
    """Requests, oldest first."""

    calls: tuple[CallView, ...]


class Outages(Model):
    """The outages under way; empty when everything works."""

    outages: tuple[Outage, ...]


class Health(Model):
    """Whether the simulator works in full."""

    status: str


class Refusal(Model):
    """Why a request was not understood."""

    detail: str


@router.get(
    "/health",
    responses={503: {"description": "Late adjusts no longer land", "model": Health}, **_UNREADABLE_QUERY},
)
async def health(office: OpenOffice, response: Response) -> Health:
    """Answer 200 while the simulator works, 503 once late adjusts no longer land."""
    if office.healthy():
        return Health(status="ok")
    response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return Health(status="landing stopped")


@router.get("/elsewhere", include_in_schema=False)
async def elsewhere() -> dict[str, object]:
    """Answer "applied" without having done anything: a client that follows the fault `redirect` is caught here."""
    return table_4(APPLIED, trace="", received_ns=time.time_ns())


@router.get(
    "/numbers/{number}",
    responses={404: {"description": "No number can look like this", "model": Refusal}},
)
async def number(number: Annotated[str, Path(description=_NUMBER_IN_PATH)], office: OpenOffice) -> NumberView:
    """Show what became of an adjust number; one never met is NEVER_RECEIVED, not 404."""
    named = number_in(number)
    if not is_unique_no(named):
        raise HTTPException(status.HTTP_404_NOT_FOUND, "no number can look like this")
    return await office.store.run(office.desk.books.number, named)


@router.get("/accounts")
async def accounts(
    office: OpenOffice,
    customer: Annotated[str | None, Query(alias="thirdServerCode")] = None,
    limit: Limit = 1_000,
) -> Accounts:
    """Show balances, of one customer or of all."""
    return Accounts(accounts=tuple(await office.store.run(office.desk.books.accounts, customer, limit)))


@router.get("/calls")
async def calls(
    office: OpenOffice,
    number: str | None = None,
    after: Annotated[int, Query(ge=0, le=CALL_ID_MAX)] = 0,
    limit: Limit = 1_000,
) -> Calls:
    """Show the requests that carry or reverse a number, or all; `after` is the last id seen, to page on."""
    return Calls(calls=tuple(await office.store.run(office.desk.journal.calls, number, after, limit)))


@router.get("/outage", responses=_UNREADABLE_QUERY)
async def outages(office: OpenOffice) -> Outages:
    """Show the outages under way."""
    return Outages(outages=tuple(await office.store.run(office.desk.outages.under_way)))


@router.put("/outage", responses={400: {"description": "The body cannot be read at all", "model": Refusal}})
async def put_outage(outage: Outage, office: OpenOffice) -> Outages:
    """Begin, change or end an outage; "off" without `companyId` ends every one. Requests in flight go on."""
    await office.store.run(office.desk.outages.put, outage)
    return Outages(outages=tuple(await office.store.run(office.desk.outages.under_way)))
