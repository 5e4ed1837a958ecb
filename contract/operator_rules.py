"""What an operator must say to act on an aborted settlement: rules for the doors, HTTP and the Updates' validators."""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from contract.fields import no_nul
from contract.payloads import OperatorRequest

REASON_LENGTH_MAX = 500

Operator = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(no_nul)]
Statement = Annotated[str, Field(min_length=1, max_length=REASON_LENGTH_MAX), AfterValidator(no_nul)]


class RetryRequest(OperatorRequest):
    """Who has cancel adjust tried again, and why."""

    model_config = ConfigDict(extra="forbid", strict=True)

    operator: Operator
    reason: Statement
    evidence: Statement | None = None


class ResolveRequest(OperatorRequest):
    """Who closes the case by hand, why, and on what evidence: there is money in it, so that must be named."""

    model_config = ConfigDict(extra="forbid", strict=True)

    operator: Operator
    reason: Statement
    evidence: Statement
