"""Which external system settles an order, and the answer if it takes no new orders."""

from typing import NamedTuple

from api.http.problems import FieldError, ProblemError
from api.services import Services
from ledger import SystemPausedError
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

    Raises ProblemError COMPANY_NOT_SERVED, unless the company has a settlement with this number: a repeated order gets
    the answer of its settlement, whatever the configuration says now.
    """
    policy = services.settings.policy
    # Read once: a changed file replaces it at any time.
    systems = services.systems.active
    name = systems.serving(company_id)
    if name is not None:
        return SystemOfOrder(name, systems.entries[name].retry.policy(policy))
    accepted = await services.ledger.find_of_company(number, company_id)
    if accepted is None:
        raise _not_served(company_id)
    return SystemOfOrder(accepted.settlement.system, policy)


def _not_served(company_id: int | None) -> ProblemError:
    rule = "is required, because no external system serves orders without a company"
    if company_id is not None:
        rule = "is a company that no external system serves"
    error = FieldError(field="companyId", rule=rule)
    return ProblemError(ErrorCode.COMPANY_NOT_SERVED, f"{error.field}: {error.rule}", errors=[error])


def system_paused(paused: SystemPausedError) -> ProblemError:
    """Return the error for an order of a paused external system."""
    detail = f"{paused}: {paused.pause.note}"
    return ProblemError(ErrorCode.EXTERNAL_SYSTEM_PAUSED, detail, retry_after_s=PAUSED_RETRY_AFTER_S)
