"""States of a settlement with their transitions and decisions, outcomes of external calls, and results of cancels."""

from enum import StrEnum


class State(StrEnum):
    """State of a settlement. `TRANSITIONS` lists the states that may follow."""

    ADJUSTING = "ADJUSTING"
    """Accepted; the adjust is not answered yet. There is no decision yet."""
    SETTLED = "SETTLED"
    """The adjust was applied. End state."""
    EXPIRED = "EXPIRED"
    """The adjust was certainly not sent, so the external system holds no money. End state."""
    CANCELLING = "CANCELLING"
    """The adjust was rejected or its outcome is unknown. The compensation is running."""
    CANCELLED = "CANCELLED"
    """The external system is consistent again; `CancelResult` says how. End state."""
    ABORTED = "ABORTED"
    """The compensation used up its attempts, was refused for good, or its results contradict each other. Nothing is
    sent until an operator acts."""
    RESOLVED = "RESOLVED"
    """An operator closed it by hand, with reason and evidence. End state."""


class Decision(StrEnum):
    """The answer that the platform waits for. It never changes once it is given."""

    PROCEED = "PROCEED"
    """The credit was adjusted: the order may proceed."""
    VOID = "VOID"
    """The order must not proceed, even if the external system reports success later."""


class Outcome(StrEnum):
    """Outcome of one external call, as far as we can know it. UNKNOWN is the default."""

    APPLIED = "APPLIED"
    """A correct reply with code 0: the external system applied the request."""
    REJECTED = "REJECTED"
    """A correct reply with another code: the external system states that it did not apply the request."""
    UNKNOWN = "UNKNOWN"
    """No reply, or no reliable one: the request may or may not have been applied."""
    NOT_SENT = "NOT_SENT"
    """The request was certainly not sent: there is nothing to cancel."""


class CancelResult(StrEnum):
    """The three correct replies to a cancel adjust. Each completes the cancel (docs/contract.md#table-2)."""

    REVERSED = "REVERSED"
    """Code 0: the adjust had been applied, and is now reversed."""
    NOT_APPLIED = "NOT_APPLIED"
    """Code US_0000001: the adjust was received but not applied."""
    NEVER_RECEIVED = "NEVER_RECEIVED"
    """Code US_0000002: the adjust was never received."""


def contradicts(first: CancelResult, confirming: CancelResult) -> bool:
    """Return whether the result of a confirming cancel contradicts that of the first one.

    After REVERSED the external system has processed the adjust, so it must answer REVERSED again. If it does not, one
    of its replies is false: the amount may have been given back for an adjust that was never applied, or not at all.
    """
    return first is CancelResult.REVERSED and confirming is not CancelResult.REVERSED


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
    """Return the decision that a state implies; None in ADJUSTING."""
    if state is State.ADJUSTING:
        return None
    return Decision.PROCEED if state is State.SETTLED else Decision.VOID
