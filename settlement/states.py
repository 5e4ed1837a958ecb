"""States of a settlement, its decision, and the outcomes of the external calls behind them.

Every table about states lives here: what each one means, where it leads, what the platform is told.
"""

from enum import StrEnum


class State(StrEnum):
    """Where a settlement stands. `TRANSITIONS` says what may follow."""

    ADJUSTING = "ADJUSTING"
    """Accepted; adjust is on its way. Nothing is decided yet."""
    SETTLED = "SETTLED"
    """Adjust was applied. The end."""
    EXPIRED = "EXPIRED"
    """Too late to send, or certainly not sent: the external system holds nothing. The end."""
    CANCELLING = "CANCELLING"
    """Adjust was rejected or its outcome is unknown; compensation is under way."""
    CANCELLED = "CANCELLED"
    """The external system is consistent again; `CancelResult` says how. The end."""
    ABORTED = "ABORTED"
    """Compensation ran out of attempts. Nothing more happens until an operator acts."""
    RESOLVED = "RESOLVED"
    """An operator closed it by hand, with reason and evidence. The end."""


class Decision(StrEnum):
    """What the platform waits for. Once given it never changes."""

    PROCEED = "PROCEED"
    """The credit was adjusted: the order may go on."""
    VOID = "VOID"
    """The order must not go on, whatever the external system says later."""


class Outcome(StrEnum):
    """What one adjust came to, as far as this side can know. UNKNOWN is the default."""

    APPLIED = "APPLIED"
    """A correct reply with code 0: the credit is adjusted."""
    REJECTED = "REJECTED"
    """A correct reply with another code: the external system says it did not adjust."""
    UNKNOWN = "UNKNOWN"
    """No reply, or none that can be trusted: the credit may or may not be adjusted."""
    NOT_SENT = "NOT_SENT"
    """The request certainly never left this side: there is nothing to cancel."""


class CancelResult(StrEnum):
    """The three correct replies to a cancel adjust. Each ends a compensation (contract, table 2)."""

    REVERSED = "REVERSED"
    """Code 0: the adjust had been applied, and the amount is given back."""
    NOT_APPLIED = "NOT_APPLIED"
    """Code US_0000001: the adjust was received, but not applied."""
    NEVER_RECEIVED = "NEVER_RECEIVED"
    """Code US_0000002: the adjust was never received."""


TRANSITIONS: dict[State, frozenset[State]] = {
    State.ADJUSTING: frozenset({State.SETTLED, State.EXPIRED, State.CANCELLING}),
    State.SETTLED: frozenset(),
    State.EXPIRED: frozenset(),
    State.CANCELLING: frozenset({State.CANCELLED, State.ABORTED}),
    State.CANCELLED: frozenset(),
    State.ABORTED: frozenset({State.CANCELLING, State.RESOLVED}),
    State.RESOLVED: frozenset(),
}

END_STATES: frozenset[State] = frozenset(state for state, after in TRANSITIONS.items() if not after)


def decision_of(state: State) -> Decision | None:
    """Return the decision that a state implies; None while there is none (ADJUSTING only)."""
    if state is State.ADJUSTING:
        return None
    return Decision.PROCEED if state is State.SETTLED else Decision.VOID
