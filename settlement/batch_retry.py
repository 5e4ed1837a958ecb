"""Batch retry: have cancel adjust tried again for many aborted settlements, at a bounded rate."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from contract.fields import INT64_MAX, INT64_MIN, Moment
from contract.model import Model
from settlement.calls import Rule
from settlement.exposure import CurrencyTotal
from settlement.operator_rules import Note, RetryReason
from settlement.states import CancelResult, State

BATCH_ITEMS_MAX = 10_000
RATE_DEFAULT_PER_S = 10.0
RATE_MAX_PER_S = 100.0
RATE_MIN_PER_S = 0.1
_REQUEST = ConfigDict(
    extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
)


def _one_at_least(schema: dict[str, Any]) -> None:
    """Say in the schema what `_not_everything` checks: a null counts as not given."""
    given, absent = {"not": {"type": "null"}}, {"type": "null"}
    parts = [name for name in schema["properties"] if name != "all"]
    narrowed = [{"required": [name], "properties": {name: given, "all": absent}} for name in parts]
    everything = {"required": ["all"], "properties": {"all": given, **dict.fromkeys(parts, absent)}}
    schema["anyOf"] = [*narrowed, everything]


class BatchSelection(BaseModel):
    """Which aborted settlements; every part that is given must fit. At least one must be given."""

    model_config = ConfigDict(**_REQUEST, json_schema_extra=_one_at_least)

    company_id: int | None = Field(default=None, strict=True, ge=INT64_MIN, le=INT64_MAX)
    cause: Rule | None = Field(default=None, description="The rule of the last cancel attempt, such as HTTP_STATUS.")
    from_: Moment | None = Field(default=None, alias="from", description="Accepted at or after.")
    to: Moment | None = Field(default=None, description="Accepted before.")
    all_: Literal[True] | None = Field(default=None, alias="all", description="Every aborted settlement; goes alone.")

    @model_validator(mode="after")
    def _not_everything(self) -> Self:
        is_narrowed = any(part is not None for part in (self.company_id, self.cause, self.from_, self.to))
        if not is_narrowed and self.all_ is None:
            message = "name at least one of companyId, cause, from, to, or all for every aborted settlement"
            raise ValueError(message)
        if is_narrowed and self.all_:
            message = "all goes alone, without companyId, cause, from or to"
            raise ValueError(message)
        return self


class BatchPreviewLine(Model):
    """Settlements that a batch would touch and that agree in company, cause and currency."""

    company_id: int | None
    cause: Rule | None
    currency: str
    count: int
    amount: str
    """Sum of the amounts without their signs."""


class BatchPreview(Model):
    """What a batch would touch, at this moment."""

    count: int
    totals: tuple[CurrencyTotal, ...]
    lines: tuple[BatchPreviewLine, ...] = ()
    """The same, broken down by company, cause and currency."""
    oldest_accepted_at: datetime | None
    newest_accepted_at: datetime | None


class BatchRetryRequest(BaseModel):
    """What a batch is begun with."""

    model_config = _REQUEST

    selection: BatchSelection
    reason_code: RetryReason
    note: Note
    expected_count: int = Field(
        strict=True,
        ge=1,
        le=BATCH_ITEMS_MAX,
        description="The preview's count; if the selection has another one now, 409.",
    )
    rate_per_s: float = Field(
        default=RATE_DEFAULT_PER_S, strict=True, ge=RATE_MIN_PER_S, le=RATE_MAX_PER_S, allow_inf_nan=False
    )


class BatchState(StrEnum):
    """Where a batch stands."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    """An operator stopped it; what was not retried by then is left as it is."""
    DONE = "DONE"


class ItemOutcome(StrEnum):
    """What the retry of one settlement came to."""

    PENDING = "PENDING"
    RETRIED = "RETRIED"
    """It went back to CANCELLING; its own state says how that ended."""
    REFUSED = "REFUSED"
    """It was not ABORTED any more, or may not be retried; it is as it was."""
    FAILED = "FAILED"
    """Its workflow could not be reached after several attempts."""


class BatchItem(Model):
    """One settlement of a batch: what the retry came to, and where it stands now."""

    position: int
    request_unique_no: str
    outcome: ItemOutcome
    detail: str
    at: datetime | None
    state: State
    cancel_result: CancelResult | None


class Batch(Model):
    """A batch and how far it has come, as the ledger has it."""

    batch_id: str
    state: BatchState
    operator: str
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
    """Where the batch's settlements stand now, by state."""
    temporal_ui_url: str | None = None


class BatchList(Model):
    """Batches, newest first."""

    items: tuple[Batch, ...]


class BatchItems(Model):
    """One page of a batch's report, by position."""

    items: tuple[BatchItem, ...]
    next_after: int | None


class BatchProgress(Model):
    """How far a batch has come: its state, and its settlements counted by what their retry came to."""

    state: BatchState = BatchState.RUNNING
    retried: int = 0
    refused: int = 0
    failed: int = 0
    pending: int = 0


class BatchInput(Model):
    """Argument of the workflow `BatchRetry`. What it works on stands in the ledger."""

    batch_id: str
    operator: str
    reason_code: str
    note: str
    rate_per_s: float
    progress: BatchProgress
    """As the ledger had it when this run was started. A run that begins with nothing pending ends at once."""


class BatchChunk(Model):
    """Input of the activity `retry_settlements`: the batch, and how many of its pending settlements to retry."""

    batch: BatchInput
    size: int


class BatchEnd(Model):
    """Input of the activity `end_batch`."""

    batch_id: str
    state: BatchState
