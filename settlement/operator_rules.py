"""What an operator must say to act on an aborted settlement: rules for the doors, HTTP and the Updates' validators."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from contract.fields import NUL, no_nul, text_of
from settlement.snapshot import OperatorRequest

NOTE_LENGTH_MAX = 500


class RetryReason(StrEnum):
    """Why cancel adjust is tried again."""

    BROKER_RECOVERED = "BROKER_RECOVERED"
    """The broker's outage is over."""
    BROKER_CORRECTED = "BROKER_CORRECTED"
    """The broker has mended what made it refuse."""
    OTHER = "OTHER"
    """The note says why."""


class ResolveReason(StrEnum):
    """Why a case is closed by hand: where the money is."""

    REVERSED_BY_BROKER = "REVERSED_BY_BROKER"
    """The broker gave the amount back by hand."""
    NEVER_APPLIED = "NEVER_APPLIED"
    """The broker confirms that it never applied the adjust."""
    WRITTEN_OFF = "WRITTEN_OFF"
    """The amount stays where it is, and somebody bears it."""
    OTHER = "OTHER"
    """The note says why."""


Operator = Annotated[str, text_of(64, NUL), AfterValidator(no_nul)]
Note = Annotated[str, text_of(NOTE_LENGTH_MAX, NUL), AfterValidator(no_nul)]
BrokerReference = Annotated[str, text_of(NOTE_LENGTH_MAX, NUL), AfterValidator(no_nul)]

BatchId = Annotated[str, Field(pattern="^[0-9a-f-]{36}$")]


class _Rules(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
    )


class RetryRequest(_Rules):
    """Why cancel adjust is tried again. Who asks is known from the key, never from the body."""

    reason_code: RetryReason
    note: Note
    broker_reference: BrokerReference | None = None


class ResolveRequest(_Rules):
    """Why the case is closed by hand, and on what evidence: there is money in it, so that must be named."""

    reason_code: ResolveReason
    note: Note
    broker_reference: BrokerReference


class _WithOperator(_Rules):
    operator: Operator


class RetryRules(RetryRequest, _WithOperator):
    """A whole retry request, as the Update's validator checks it."""

    batch_id: BatchId | None = None
    """Set by a batch only; over HTTP nobody can say it."""


class ResolveRules(ResolveRequest, _WithOperator):
    """A whole resolve request, as the Update's validator checks it."""


PLACEHOLDERS = {
    "operator": "<your name>",
    "reasonCode": "<one of its words>",
    "note": "<why>",
    "brokerReference": "<the broker's ticket>",
}
"""What stands in the input that the Temporal UI shows to paste; sent as it is, it counts as not filled in."""


def request_of(operator: str, order: RetryRequest | ResolveRequest) -> OperatorRequest:
    """Return the Update's argument for an order that passed the rules."""
    return OperatorRequest(operator=operator, **order.model_dump(by_alias=False))
