"""Types of reconciliation, which compares the ledger with Temporal, and with statements of the broker."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from contract.model import Model
from settlement.ids import SettlementId
from settlement.operator_rules import Note
from settlement.states import State, decision_of

TAKE_UPS_ALLOWED_MAX = 100_000
"""Maximum `count` of one allowance."""


class FindingKind(StrEnum):
    """Kind of a mismatch. `docs/operations.md` says for each kind who must do what."""

    WORKFLOW_ENDED_FROM_OUTSIDE = "WORKFLOW_ENDED_FROM_OUTSIDE"
    """Open in the ledger, but its workflow was terminated, timed out or failed."""
    WORKFLOW_MISSING = "WORKFLOW_MISSING"
    """Open in the ledger, but Temporal has no workflow: never started, deleted, or Temporal's data was restored."""
    LEDGER_BEHIND = "LEDGER_BEHIND"
    """The workflow completed or has another state, but the ledger did not receive it."""
    LEDGER_MISSING = "LEDGER_MISSING"
    """Temporal has a workflow, but the ledger has no such settlement (a backup was restored)."""
    LEDGER_AHEAD = "LEDGER_AHEAD"
    """Ended in the ledger, but its workflow is still open."""
    DECISION_CONFLICT = "DECISION_CONFLICT"
    """Ledger and workflow have opposite decisions: two Temporal clusters processed it, or a backup was restored."""
    WORKFLOW_STUCK = "WORKFLOW_STUCK"
    """Its workflow task fails repeatedly: the code does not match the history, or has a bug."""
    SYSTEM_NOT_CONFIGURED = "SYSTEM_NOT_CONFIGURED"
    """Open, but the configuration lacks its external system, or a secret of it: its cancels wait."""
    WRONG_TEMPORAL = "WRONG_TEMPORAL"
    """Not about a settlement: a worker is connected to another Temporal than the ledger belongs to."""
    TAKE_UP_LIMIT = "TAKE_UP_LIMIT"
    """Not about a settlement: more workflows are lost than one round may restart. An operator must decide."""
    STATEMENT_APPLIED_BUT_VOID = "STATEMENT_APPLIED_BUT_VOID"
    """The broker applied the adjust and did not reverse it, but the order is void."""
    STATEMENT_MISSING_BUT_SETTLED = "STATEMENT_MISSING_BUT_SETTLED"
    """SETTLED, but the broker's statement does not have the adjust."""
    STATEMENT_REVERSED_BUT_SETTLED = "STATEMENT_REVERSED_BUT_SETTLED"
    """SETTLED, but the broker reversed the adjust."""
    STATEMENT_APPLIED_TWICE = "STATEMENT_APPLIED_TWICE"
    """The broker applied the adjust more than once."""
    STATEMENT_REVERSED_TWICE = "STATEMENT_REVERSED_TWICE"
    """The broker reversed the adjust more often than it applied it."""
    STATEMENT_DIFFERENT_AMOUNT = "STATEMENT_DIFFERENT_AMOUNT"
    """The broker booked another amount or currency."""
    STATEMENT_UNKNOWN_NUMBER = "STATEMENT_UNKNOWN_NUMBER"
    """The broker's statement has a number that the ledger does not have, or has for another external system."""
    STATEMENT_MISSING_NUMBER = "STATEMENT_MISSING_NUMBER"
    """CANCELLED (REVERSED), but the broker's statement has neither the adjust nor its reversal."""


STATEMENT_KINDS = frozenset(kind for kind in FindingKind if kind.startswith("STATEMENT_"))
"""Findings of a broker statement. Neither the ledger nor Temporal can tell whether the broker has corrected them."""

CLOSED_BY_OPERATOR = STATEMENT_KINDS | {FindingKind.DECISION_CONFLICT}
"""Findings that only an operator may close. Temporal deletes closed workflows, but the money is still in doubt.

Once closed, such a finding stays closed while the same detail is found again.
"""


def conflict_detail(in_ledger: State, in_workflow: State) -> str:
    """Return the detail of a finding DECISION_CONFLICT: both decisions with their states.

    All code that finds a conflict must use this text, because an operator closes the finding for exactly this text.
    """
    return (
        f"the ledger has the decision {decision_of(in_ledger)} ({in_ledger}), "
        f"but the workflow has {decision_of(in_workflow)} ({in_workflow})"
    )


class FindingStatus(StrEnum):
    """Status of a finding."""

    OPEN = "OPEN"
    """An operator must act."""
    REPAIRED = "REPAIRED"
    """Reconciliation has repaired it; `repair` says how."""
    CLEARED = "CLEARED"
    """A later round no longer found the mismatch."""
    CLOSED = "CLOSED"
    """An operator has closed it; `repair` says who and why."""


class Finding(Model):
    """One mismatch between ledger and Temporal, or between ledger and broker statement."""

    finding_id: int
    kind: FindingKind
    system: str | None
    """External system of the settlement; null if the finding is not about a single settlement."""
    request_unique_no: str | None
    """Null if the finding is not about a single settlement."""
    company_id: int | None = None
    """The company of the settlement; null if it has none, or if the ledger did not have the settlement."""
    amount: str | None = None
    """The amount in question; only of a finding of a broker statement."""
    currency: str | None = None
    status: FindingStatus
    detail: str
    repair: str = ""
    found_at: datetime
    last_seen_at: datetime
    rounds: int
    """Number of rounds, or of imports of a statement, in which the mismatch was seen."""
    action: str = ""
    """What an operator should do."""
    closed_at: datetime | None = None

    @property
    def settlement_id(self) -> SettlementId | None:
        """The settlement that it is about; None if it is not about a single one."""
        if self.system is None or self.request_unique_no is None:
            return None
        return SettlementId(self.system, self.request_unique_no)


class FindingPage(Model):
    """One page of findings, newest first."""

    items: tuple[Finding, ...]
    next_before: int | None
    """Value of `before` for the next page; null on the last page."""


class TakeUpRequest(BaseModel):
    """Body of a request to restart `count` lost workflows beyond the limit of a round, with the reason."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
    )

    count: int = Field(strict=True, ge=1, le=TAKE_UPS_ALLOWED_MAX)
    note: Note


class TakeUpAllowance(Model):
    """An operator's permission to restart lost workflows beyond the limit of a round."""

    allowance_id: int
    count: int
    used: int
    """Number of workflows restarted under it so far."""
    operator: str
    key_id: str | None
    note: str
    allowed_at: datetime
    expires_at: datetime
    """From this time on it permits nothing."""


class ReconciliationRound(Model):
    """One round of reconciliation, and its results."""

    round_id: str
    started_at: datetime
    ended_at: datetime
    ledger_checked: int
    temporal_checked: int
    found: int
    repaired: int
    open_findings: int
    complete: bool
    """Whether everything open was examined; false if a limit ended the round early or something failed."""


class ScanTask(Model):
    """Input of the activities that scan one page: the round, and the cursor at which the page starts."""

    round_started_at: datetime
    after: str | None = None
    """Cursor returned with the previous page; None for the first page."""
    all_open_examined: bool = False
    """Whether this round has examined every open settlement of the ledger, all without an error."""


class ScanResult(Model):
    """Result of scanning one page, or the sum of several consecutive pages."""

    checked: int = 0
    found: int = 0
    repaired: int = 0
    failed: int = 0
    """Number of items that could not be examined; the next round tries again."""
    after: str | None = None
    """Cursor of the next page; None after the last page."""


class RoundEnd(Model):
    """Input of the activity `record_round`."""

    ended: ReconciliationRound
    listed_to: datetime | None = None
    """Time up to which Temporal's closed workflows have been scanned; None if this round did not complete the scan."""


class RoundCursors(Model):
    """Result of the workflow `Reconciliation`: the cursors at which the next round continues after a limit."""

    ledger_after: str | None = None
    temporal_after: str | None = None
    list_begun_at: datetime | None = None
    """When the scan of Temporal's list that `temporal_after` continues began."""
