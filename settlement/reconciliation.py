"""Reconciliation: the ledger and Temporal are held against each other, both ways."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from contract.model import Model
from settlement.operator_rules import Note
from settlement.states import State, decision_of

TAKE_UPS_ALLOWED_MAX = 100_000
"""Of one allowance."""


class FindingKind(StrEnum):
    """What does not fit. `docs/operations.md` says of each who acts and how."""

    WORKFLOW_ENDED_FROM_OUTSIDE = "WORKFLOW_ENDED_FROM_OUTSIDE"
    """Open in the ledger; its workflow was terminated, timed out or failed."""
    WORKFLOW_MISSING = "WORKFLOW_MISSING"
    """Open in the ledger; Temporal knows no workflow: never started, deleted, or Temporal was set back."""
    LEDGER_BEHIND = "LEDGER_BEHIND"
    """Its workflow came to its end; the ledger has not heard of it."""
    LEDGER_MISSING = "LEDGER_MISSING"
    """Temporal has a workflow; the ledger has no such settlement (a backup was restored)."""
    LEDGER_AHEAD = "LEDGER_AHEAD"
    """Ended in the ledger; its workflow is still open."""
    DECISION_CONFLICT = "DECISION_CONFLICT"
    """Ledger and workflow have opposite decisions: two Temporal clusters have worked on it, or one was restored."""
    WORKFLOW_STUCK = "WORKFLOW_STUCK"
    """Its workflow task fails again and again: code and history do not fit, or there is a bug."""
    WRONG_TEMPORAL = "WRONG_TEMPORAL"
    """About no settlement: a worker is connected to another Temporal than the one that the ledger belongs to."""
    TAKE_UP_LIMIT = "TAKE_UP_LIMIT"
    """About no settlement: more workflows are lost than one round may start anew; a person decides about the rest."""


CLOSED_BY_OPERATOR = frozenset({FindingKind.DECISION_CONFLICT})
"""Findings that no round clears: when Temporal has forgotten the workflow, the money is still where it is.

Once closed, such a finding stays closed while rounds find the same: its detail says all that an operator judged.
"""


def conflict_detail(ledgers: State, own: State) -> str:
    """Return the detail of a finding DECISION_CONFLICT: both decisions, and the states in which they stand.

    Whatever finds the conflict says it in these words: an operator's closing holds for this detail.
    """
    return f"the ledger has the decision {decision_of(ledgers)} ({ledgers}), its workflow {decision_of(own)} ({own})"


class FindingStatus(StrEnum):
    """What has become of a finding."""

    OPEN = "OPEN"
    """A person must look."""
    REPAIRED = "REPAIRED"
    """Reconciliation has put it right; `repair` says how."""
    CLEARED = "CLEARED"
    """A later round found it gone."""
    CLOSED = "CLOSED"
    """An operator has closed it; `repair` says who and why."""


class Finding(Model):
    """One thing that did not fit."""

    finding_id: int
    kind: FindingKind
    request_unique_no: str | None
    """Null: it is about no single settlement."""
    status: FindingStatus
    detail: str
    repair: str = ""
    found_at: datetime
    last_seen_at: datetime
    rounds: int
    """In how many rounds it was seen."""
    closed_at: datetime | None = None


class FindingPage(Model):
    """One page of findings, newest first."""

    items: tuple[Finding, ...]
    next_before: int | None
    """Ask for findings before this one; null on the last page."""


class TakeUpRequest(BaseModel):
    """How many lost workflows may be started anew beyond the limit of a round, and why."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
    )

    count: int = Field(strict=True, ge=1, le=TAKE_UPS_ALLOWED_MAX)
    note: Note


class TakeUpAllowance(Model):
    """A person's decision that lost workflows may be started anew beyond the limit of a round."""

    allowance_id: int
    count: int
    used: int
    """How many were started anew by it so far."""
    operator: str
    note: str
    allowed_at: datetime
    expires_at: datetime
    """From then on it allows nothing."""


class ReconciliationRound(Model):
    """One round: what was looked at and what came of it."""

    round_id: str
    started_at: datetime
    ended_at: datetime
    ledger_checked: int
    temporal_checked: int
    found: int
    repaired: int
    open_findings: int
    complete: bool
    """Whether everything open was looked at; false where a limit cut the round short."""


class ScanTask(Model):
    """Input of the activities that look at one part of what there is: from where on, and in which round."""

    round_started_at: datetime
    after: str | None = None
    """Where the part before ended, as it said; None: from the beginning."""
    all_open_examined: bool = False
    """Whether this round has examined every open settlement of the ledger, none of them in vain."""


class ScanResult(Model):
    """What became of one part, or of several in a row."""

    checked: int = 0
    found: int = 0
    repaired: int = 0
    failed: int = 0
    """What could not be looked at; the next round tries again."""
    after: str | None = None
    """Where to go on; None: that was the last part."""


class RoundEnd(Model):
    """Input of the activity `record_round`."""

    ended: ReconciliationRound
    listed_to: datetime | None
    """Up to when Temporal's list of closed workflows has been gone through; None: this round has not come so far."""


class RoundCursors(Model):
    """Result of the workflow `Reconciliation`, which the next round begins with: where a limit cut this one short."""

    ledger_after: str | None = None
    temporal_after: str | None = None
    list_begun_at: datetime | None = None
    """When the pass through Temporal's list began that `temporal_after` goes on with."""
