"""Which external system settles an order, and whether it takes new orders."""

from typing import NamedTuple

from api.http.problems import FieldError, ProblemError
from api.services import Services
from schemas.problems import ErrorCode
from settlement.policy import SettlementPolicy

PAUSED_RETRY_AFTER_S = 60
"""`Retry-After` while an operator has paused the external system. The command line does not wait for so long."""


class SystemOfOrder(NamedTuple):
    """The external system of an order, and the policy of orders that are accepted for it now."""

    name: str
    policy: SettlementPolicy


async def system_of_order(services: Services, number: str, company_id: int | None) -> SystemOfOrder:
    """Return the external system that serves the company of an order.

    Raises ProblemError COMPANY_NOT_SERVED or EXTERNAL_SYSTEM_PAUSED, unless the company has a settlement with this
    number: a repeated order gets the answer of its settlement, whatever the configuration says now.
    """
    policy = services.settings.policy
    # Read once: a changed file replaces it at any time.
    systems = services.systems.active
    name = systems.serving(company_id)
    problem = _not_served(company_id) if name is None else await _paused(services, name)
    if name is not None and problem is None:
        return SystemOfOrder(name, systems.entries[name].retry.policy(policy))
    accepted = await services.ledger.find_of_company(number, company_id)
    if accepted is None:
        assert problem is not None  # noqa: S101 - without a problem there is a name
        raise problem
    return SystemOfOrder(accepted.settlement.system, policy)


def _not_served(company_id: int | None) -> ProblemError:
    rule = "is required, because no external system serves orders without a company"
    if company_id is not None:
        rule = "is a company that no external system serves"
    error = FieldError(field="companyId", rule=rule)
    return ProblemError(ErrorCode.COMPANY_NOT_SERVED, f"{error.field}: {error.rule}", errors=[error])


async def _paused(services: Services, name: str) -> ProblemError | None:
    pause = await services.pauses.find(name)
    if pause is None:
        return None
    detail = f"the external system {name} is paused: {pause.note}"
    return ProblemError(ErrorCode.EXTERNAL_SYSTEM_PAUSED, detail, retry_after_s=PAUSED_RETRY_AFTER_S)
