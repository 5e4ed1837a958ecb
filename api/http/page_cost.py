"""What a page of a list costs: more than a request that reads one thing."""

from api.http.access import Caller
from api.services import Services

ITEMS_PER_REQUEST = 20
"""A page that may have this many items counts as one request."""


async def count_page(services: Services, caller: Caller, limit: int) -> None:
    """Count a page of up to `limit` items as several requests of the client. One of them has been counted already.

    A page never counts more than the quota of one second. Raises ProblemError RATE_LIMITED before anything is read.
    """
    further = (limit - 1) // ITEMS_PER_REQUEST
    if caller.has_quotas and further:
        await services.quotas.requests.count(caller.client, further)
