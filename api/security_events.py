"""/v1/security-events: read the security events of the installation."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.http.access import SecurityReader
from api.http.page_cost import count_page
from api.http.problems import documented
from api.http.strict_body import StrictJsonRoute
from api.http.strict_requests import Plain, PlainInt
from api.services import Injected
from ledger import SecurityEvents
from schemas.problems import ErrorCode
from settlement.security_events import SECURITY_EVENT_PAGE_MAX, SecurityEventPage

router = APIRouter(route_class=StrictJsonRoute)

SECURITY_EVENTS = "/v1/security-events"
EVENT_ID_MAX = 2**31 - 1


class SecurityEventQuery(BaseModel):
    """Page of a list of security events."""

    before: Annotated[int, Field(ge=1, le=EVENT_ID_MAX), Plain] | None = Field(
        default=None, description="`nextBefore` of the previous page."
    )
    limit: PlainInt = Field(default=50, ge=1, le=SECURITY_EVENT_PAGE_MAX)


@router.get(SECURITY_EVENTS, responses=documented(ErrorCode.VALIDATION_FAILED, ErrorCode.LEDGER_UNAVAILABLE))
async def list_security_events(
    services: Injected, query: Annotated[SecurityEventQuery, Query()], caller: SecurityReader
) -> SecurityEventPage:
    """List security events, newest first: keys, refused keys, paused systems, changed limits, batches. By whom."""
    await count_page(services, caller, query.limit)
    return await SecurityEvents(services.ledger.readers).page(query.before, query.limit)
