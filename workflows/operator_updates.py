"""The Updates that operators send: what they mean with nothing filled in, and what they must hold."""

from pydantic import BaseModel, ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from contract.operator_rules import RetryReason
    from contract.payloads import OperatorRequest

RETRY_FROM_UI = OperatorRequest(
    operator="temporal-ui", reason_code=RetryReason.BROKER_RECOVERED, note="sent from the Temporal UI without input"
)
NOTHING_FILLED_IN = OperatorRequest()
"""Never passes the rules of a resolution; it is there so that the refusal names what is missing."""


def must_hold(rules: type[BaseModel], request: OperatorRequest) -> None:
    """Raise ApplicationError INVALID_REQUEST, in one line that names each field and its rule, unless all rules hold.

    Called by validators only, and not built into the type: a validator does not run on replay, so a rule may
    be tightened while settlements are open.
    """
    try:
        rules.model_validate(request.model_dump(by_alias=True, exclude_none=True))
    except ValidationError as error:
        broken = (f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors())
        raise ApplicationError("; ".join(broken), type="INVALID_REQUEST") from None
