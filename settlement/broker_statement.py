"""Types of a broker statement: what the broker says that it applied and reversed in a period."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from contract.fields import Amount, Currency, EpochMs, Moment, UniqueNo
from contract.model import Model
from settlement.start import DEFAULT_SYSTEM
from settlement.system_names import SystemName

LINES_MAX = 10_000_000
"""Maximum lines of one statement."""
LINES_PER_REQUEST_MAX = 1_000
MARGIN_DEFAULT_S = 300
MARGIN_MAX_S = 86_400
DIFFERENCES_DEFAULT = 1_000
DIFFERENCES_MAX = 10_000


class LineKind(StrEnum):
    """What a line of a statement says that the broker did with an adjust."""

    APPLIED = "APPLIED"
    """The broker changed the customer's credit by the amount."""
    REVERSED = "REVERSED"
    """The broker took that change back."""


class StatementState(StrEnum):
    """State of the import of a statement. Each state but the last three leads to the next one."""

    RECEIVING = "RECEIVING"
    """Not all lines have arrived."""
    COMPARING_STATEMENT = "COMPARING_STATEMENT"
    """Each number of the statement is compared with the ledger."""
    COMPARING_LEDGER = "COMPARING_LEDGER"
    """Each settlement that was accepted in the period is looked up in the statement."""
    DELETING = "DELETING"
    """The comparison has ended; the lines are deleted."""
    REPORTING = "REPORTING"
    """The differences become findings."""
    DONE = "DONE"
    """Every difference is a finding."""
    REFUSED = "REFUSED"
    """There are more differences than allowed, so none became a finding: probably the wrong file, period or columns."""
    EXPIRED = "EXPIRED"
    """Nobody continued the import within a day. Its lines are deleted and nothing was reported."""


class _Rules(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
    )


class StatementLine(_Rules):
    """One event at the broker."""

    request_unique_no: UniqueNo
    """The number of the adjust, also for a reversal."""
    kind: LineKind
    amount: Amount
    """The amount of the adjust with its sign, as the broker has it; for a reversal, the amount that was taken back."""
    currency: Currency
    at_ms: EpochMs
    """Time of the event on the broker's clock."""

    @property
    def at(self) -> datetime:
        """Time of the event."""
        return datetime.fromtimestamp(self.at_ms / 1000, UTC)


class StatementRequest(_Rules):
    """Body of a request to import a statement: its period, and how many lines will follow."""

    digest: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the lines; identifies an import to continue.")
    system: SystemName = DEFAULT_SYSTEM
    """Name of the external system whose statement it is. It is compared with the settlements of this system only."""
    starts_at: Moment
    """Begin of the period; a line at this time belongs to it."""
    ends_at: Moment
    """End of the period; a line at this time belongs to the next statement."""
    line_count: int = Field(strict=True, ge=0, le=LINES_MAX)
    margin_s: int = Field(default=MARGIN_DEFAULT_S, strict=True, ge=0, le=MARGIN_MAX_S)
    """An event that may be this close to an end of the period can be in another statement. It is never missing."""
    differences_max: int = Field(default=DIFFERENCES_DEFAULT, strict=True, ge=1, le=DIFFERENCES_MAX)
    """With more differences than this, none of them becomes a finding."""

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        if self.ends_at <= self.starts_at:
            message = "endsAt must be after startsAt"
            raise ValueError(message)
        return self


class StatementLines(_Rules):
    """Body of a request with the next lines of a statement."""

    position: int = Field(strict=True, ge=0, le=LINES_MAX)
    """Number of lines before these."""
    lines: tuple[StatementLine, ...] = Field(max_length=LINES_PER_REQUEST_MAX)


class BrokerStatement(Model):
    """The import of one statement, and its progress."""

    statement_id: int
    state: StatementState
    system: str
    """Name of the external system whose statement it is."""
    operator: str
    """The client of the operator's key."""
    key_id: str | None
    """Id of that key; None if the API requires no keys."""
    starts_at: datetime
    ends_at: datetime
    margin_s: int
    differences_max: int
    line_count: int
    lines_received: int
    lines_compared: int
    settlements_compared: int
    """Settlements of the period that were looked up in the statement."""
    ledger_compared_to: datetime | None
    """While COMPARING_LEDGER: settlements accepted before this time have been looked up."""
    open_settlements: int
    """Settlements that have not ended. They are never a difference; import the statement again when they have ended."""
    undecided: int
    """Settlements that this statement alone cannot decide: something may be in another statement."""
    differences: int
    findings_new: int
    """Differences that opened a finding."""
    findings_open: int
    """Differences whose finding was open already."""
    findings_closed: int
    """Differences that an operator has already closed. They stay closed."""
    created_at: datetime
    completed_at: datetime | None = None


class BrokerStatementList(Model):
    """The newest imports."""

    items: tuple[BrokerStatement, ...]
