"""Rules for an operator's request on an ABORTED settlement, enforced by the API and by the Updates' validators."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from contract.fields import INT64_MAX, NUL, no_nul, text_of
from settlement.snapshot import OperatorRequest

NOTE_LENGTH_MAX = 500


class RetryReason(StrEnum):
    """Why cancel adjust is retried."""

    BROKER_RECOVERED = "BROKER_RECOVERED"
    """The broker's outage is over."""
    BROKER_CORRECTED = "BROKER_CORRECTED"
    """The broker has corrected the cause of its refusal."""
    OTHER = "OTHER"
    """See the note."""


class ResolveReason(StrEnum):
    """Why a settlement is closed by hand: where the money is."""

    REVERSED_BY_BROKER = "REVERSED_BY_BROKER"
    """The broker gave the amount back by hand."""
    NEVER_APPLIED = "NEVER_APPLIED"
    """The broker confirms that it never applied the adjust."""
    WRITTEN_OFF = "WRITTEN_OFF"
    """The amount is not recovered; it is written off as a loss."""
    OTHER = "OTHER"
    """See the note."""


Operator = Annotated[str, text_of(64, NUL), AfterValidator(no_nul)]
Note = Annotated[str, text_of(NOTE_LENGTH_MAX, NUL), AfterValidator(no_nul)]
BrokerReference = Annotated[str, text_of(NOTE_LENGTH_MAX, NUL), AfterValidator(no_nul)]

KeyId = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
BatchId = Annotated[str, Field(pattern="^[0-9a-f-]{36}$")]


class _Rules(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
    )


class RetryRequest(_Rules):
    """Body of a retry request. The operator is the client of the API key, never a field of the body."""

    reason_code: RetryReason
    note: Note
    broker_reference: BrokerReference | None = None


class ResolveRequest(_Rules):
    """Body of a resolve request. The evidence (`brokerReference`) is required because money is at stake."""

    reason_code: ResolveReason
    note: Note
    broker_reference: BrokerReference


class ProposalRequest(_Rules):
    """Body of a request that approves or withdraws a proposal."""

    proposal_no: int = Field(strict=True, ge=0, le=INT64_MAX, description="`proposalNo` of the `resolutionProposal`.")
    note: Note


class _WithOperator(_Rules):
    operator: Operator
    key_id: KeyId | None = None
    """Set only by the API, from the key of the request."""


class RetryRules(RetryRequest, _WithOperator):
    """A complete retry request, as the Update's validator checks it."""

    batch_id: BatchId | None = None
    """Set only by a batch retry; a request over HTTP cannot set it."""


class ResolveRules(ResolveRequest, _WithOperator):
    """A complete resolve request, as the Update's validator checks it."""


class ProposalRules(ProposalRequest, _WithOperator):
    """A complete request to approve or withdraw a proposal, as the Update's validator checks it."""


PLACEHOLDERS = {
    "operator": "<your name>",
    "reasonCode": "<one of its words>",
    "note": "<why>",
    "brokerReference": "<the broker's ticket>",
    "proposalNo": "<number of the proposal>",
}
"""Placeholders in the example input that the Temporal UI shows. A placeholder that was not replaced is rejected as
missing."""


def operator_request(
    operator: str, key_id: str | None, request: RetryRequest | ResolveRequest | ProposalRequest
) -> OperatorRequest:
    """Return the argument of the Update for a validated request of this operator, made with this key."""
    return OperatorRequest(operator=operator, key_id=key_id, **request.model_dump(by_alias=False))
