"""The window into the simulator for tests, demonstrations and people; no part of the contract."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response, status

from contract.fields import is_unique_no
from contract.model import Model
from contract.path_segments import number_in
from simulator.book_records import AccountView, NumberView
from simulator.call_journal import CallView
from simulator.instance import SimulatorInstance
from simulator.outages import Outage
from simulator.replies import APPLIED, table_4

CALL_ID_MAX = 2**53
"""Far beyond any call, and a number that JSON and a document's bounds hold exactly."""

router = APIRouter(prefix="/simulator", tags=["inspection"])


def _instance(request: Request) -> SimulatorInstance:
    instance: SimulatorInstance = request.app.state.instance
    return instance


OpenInstance = Annotated[SimulatorInstance, Depends(_instance)]
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


class OutageList(Model):
    """The outages under way; empty when everything works."""

    outages: tuple[Outage, ...]


class SimulatorHealth(Model):
    """Whether the simulator works in full."""

    status: str


class Refusal(Model):
    """Why a request was not understood."""

    detail: str


@router.get(
    "/health",
    responses={503: {"description": "Late adjusts no longer land", "model": SimulatorHealth}, **_UNREADABLE_QUERY},
)
async def health(instance: OpenInstance, response: Response) -> SimulatorHealth:
    """Answer 200 while the simulator works, 503 once late adjusts no longer land."""
    if instance.healthy():
        return SimulatorHealth(status="ok")
    response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return SimulatorHealth(status="landing stopped")


@router.get("/elsewhere", include_in_schema=False)
async def elsewhere() -> dict[str, object]:
    """Answer "applied" without having done anything: a client that follows the fault `redirect` is caught here."""
    return table_4(APPLIED, trace="", received_ns=time.time_ns())


@router.get(
    "/numbers/{number}",
    responses={404: {"description": "No number can look like this", "model": Refusal}},
)
async def number(number: Annotated[str, Path(description=_NUMBER_IN_PATH)], instance: OpenInstance) -> NumberView:
    """Show what became of an adjust number; one never met is NEVER_RECEIVED, not 404."""
    named = number_in(number)
    if not is_unique_no(named):
        raise HTTPException(status.HTTP_404_NOT_FOUND, "no number can look like this")
    return await instance.store.run(instance.handler.books.number, named)


@router.get("/accounts")
async def accounts(
    instance: OpenInstance,
    customer: Annotated[str | None, Query(alias="thirdServerCode")] = None,
    limit: Limit = 1_000,
) -> Accounts:
    """Show balances, of one customer or of all."""
    return Accounts(accounts=tuple(await instance.store.run(instance.handler.books.accounts, customer, limit)))


@router.get("/calls")
async def calls(
    instance: OpenInstance,
    number: str | None = None,
    after: Annotated[int, Query(ge=0, le=CALL_ID_MAX)] = 0,
    limit: Limit = 1_000,
) -> Calls:
    """Show the requests that carry or reverse a number, or all; `after` is the last id seen, to page on."""
    return Calls(calls=tuple(await instance.store.run(instance.handler.journal.calls, number, after, limit)))


@router.get("/outage", responses=_UNREADABLE_QUERY)
async def outages(instance: OpenInstance) -> OutageList:
    """Show the outages under way."""
    return OutageList(outages=tuple(await instance.store.run(instance.handler.outages.under_way)))


@router.put("/outage", responses={400: {"description": "The body cannot be read at all", "model": Refusal}})
async def put_outage(outage: Outage, instance: OpenInstance) -> OutageList:
    """Begin, change or end an outage; "off" without `companyId` ends every one. Requests in flight go on."""
    await instance.store.run(instance.handler.outages.put, outage)
    return OutageList(outages=tuple(await instance.store.run(instance.handler.outages.under_way)))
