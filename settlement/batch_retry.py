"""Types of a batch retry: one request that retries cancel adjust for many ABORTED settlements at a bounded rate."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from contract.fields import INT64_MAX, INT64_MIN, Currency, Moment
from contract.model import Model
from settlement.amounts import AmountText
from settlement.calls import Rule
from settlement.exposure import CurrencyTotal
from settlement.operator_rules import Note, RetryReason
from settlement.states import CancelResult, State
from settlement.system_names import SystemName

BATCH_ITEMS_MAX = 10_000
RATE_DEFAULT_PER_S = 10.0
RATE_MAX_PER_S = 100.0
RATE_MIN_PER_S = 0.1
_REQUEST = ConfigDict(
    extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
)


def _require_one_part(schema: dict[str, Any]) -> None:
    """Add to the JSON schema the rule that `_check_parts` enforces. A null counts as absent."""
    given, absent = {"not": {"type": "null"}}, {"type": "null"}
    parts = [name for name in schema["properties"] if name != "all"]
    narrowed = [{"required": [name], "properties": {name: given, "all": absent}} for name in parts]
    everything = {"required": ["all"], "properties": {"all": given, **dict.fromkeys(parts, absent)}}
    schema["anyOf"] = [*narrowed, everything]


class BatchSelection(BaseModel):
    """Selects ABORTED settlements. Filters are combined with AND; at least one is required.

    To select every ABORTED settlement, give `all` and nothing else.
    """

    model_config = ConfigDict(**_REQUEST, json_schema_extra=_require_one_part)

    system: SystemName | None = Field(default=None, description="The name of an external system.")
    company_id: int | None = Field(default=None, strict=True, ge=INT64_MIN, le=INT64_MAX)
    cause: Rule | None = Field(default=None, description="The rule of the last cancel attempt, such as HTTP_STATUS.")
    from_: Moment | None = Field(default=None, alias="from", description="Accepted at or after.")
    to: Moment | None = Field(default=None, description="Accepted before.")
    all_: Literal[True] | None = Field(
        default=None, alias="all", description="Every ABORTED settlement; no other filter may be given."
    )

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        is_narrowed = any(part is not None for part in (self.system, self.company_id, self.cause, self.from_, self.to))
        if not is_narrowed and self.all_ is None:
            message = (
                "give at least one of system, companyId, cause, from, to; or give all for every ABORTED settlement"
            )
            raise ValueError(message)
        if is_narrowed and self.all_:
            message = "all cannot be combined with system, companyId, cause, from or to"
            raise ValueError(message)
        return self


class BatchPreviewLine(Model):
    """The selected settlements of one company, cause and currency."""

    company_id: int | None
    cause: Rule | None
    currency: str
    count: int
    amount: str
    """Sum of the absolute amounts."""


class BatchPreview(Model):
    """The settlements that a batch would retry if it were created now."""

    count: int
    totals: tuple[CurrencyTotal, ...]
    lines: tuple[BatchPreviewLine, ...] = ()
    """The same settlements by company, cause and currency."""
    oldest_accepted_at: datetime | None
    newest_accepted_at: datetime | None


class BatchRetryRequest(BaseModel):
    """Body of the request that creates a batch."""

    model_config = _REQUEST

    selection: BatchSelection
    reason_code: RetryReason
    note: Note
    expected_count: int = Field(
        strict=True,
        ge=1,
        le=BATCH_ITEMS_MAX,
        description="The count of the preview. Answers 409 if the selection has another count now.",
    )
    sums_max: dict[Currency, AmountText] | None = Field(
        default=None,
        min_length=1,
        max_length=50,
        description="Maximum sum of the absolute amounts by currency. Answers 422 if the batch is above it.",
        examples=[{"USD": "5000.00"}],
    )
    rate_per_s: float = Field(
        default=RATE_DEFAULT_PER_S, strict=True, ge=RATE_MIN_PER_S, le=RATE_MAX_PER_S, allow_inf_nan=False
    )


class BatchState(StrEnum):
    """State of a batch."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    """An operator stopped it. Settlements that were not retried by then are unchanged."""
    DONE = "DONE"


class ItemOutcome(StrEnum):
    """Outcome of the retry of one settlement."""

    PENDING = "PENDING"
    RETRIED = "RETRIED"
    """The settlement went back to CANCELLING. Its state shows how the retry ended."""
    REFUSED = "REFUSED"
    """The settlement was no longer ABORTED, or may not be retried. It is unchanged."""
    FAILED = "FAILED"
    """The settlement's workflow did not answer after several attempts. The retry may still have reached it."""


class BatchItem(Model):
    """One settlement of a batch: the outcome of its retry, and its state now."""

    position: int
    system: str
    request_unique_no: str
    outcome: ItemOutcome
    detail: str
    at: datetime | None
    state: State
    cancel_result: CancelResult | None


class Batch(Model):
    """A batch and its progress, as the ledger has it."""

    batch_id: str
    state: BatchState
    operator: str
    key_id: str | None
    """The API key of the request that created the batch; null if the API requires no keys."""
    reason_code: RetryReason
    note: str
    selection: BatchSelection
    rate_per_s: float
    created_at: datetime
    ended_at: datetime | None
    count: int
    totals: tuple[CurrencyTotal, ...]
    outcomes: dict[ItemOutcome, int]
    states: dict[State, int]
    """Number of the batch's settlements by their state now."""
    temporal_ui_url: str | None = None


class BatchList(Model):
    """Batches, newest first."""

    items: tuple[Batch, ...]


class BatchItems(Model):
    """One page of a batch's items, in order of position."""

    items: tuple[BatchItem, ...]
    next_after: int | None


class BatchProgress(Model):
    """State of a batch, and the number of its settlements by outcome."""

    state: BatchState = BatchState.RUNNING
    retried: int = 0
    refused: int = 0
    failed: int = 0
    pending: int = 0


class BatchInput(Model):
    """Argument of the workflow `BatchRetry`. The ledger has the batch's settlements."""

    batch_id: str
    operator: str
    reason_code: str
    note: str
    rate_per_s: float
    progress: BatchProgress
    """Progress when this run started. A run that starts with nothing pending ends at once."""
    key_id: str | None = None


class BatchChunk(Model):
    """Input of the activity `retry_settlements`: the batch, and the number of pending settlements to retry."""

    batch: BatchInput
    size: int


class BatchEnd(Model):
    """Input of the activity `end_batch`."""

    batch_id: str
    state: BatchState
