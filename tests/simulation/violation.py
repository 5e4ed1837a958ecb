"""Violations of the invariant. Each kind has a name, by which the tests detect planted bugs."""

from enum import StrEnum
from typing import NamedTuple


class ViolationKind(StrEnum):
    """All kinds of violations."""

    NOT_AT_REST = "NOT_AT_REST"
    """It has neither ended nor waits for an operator."""
    VIEWS_DIFFER = "VIEWS_DIFFER"
    """Workflow, ledger and API differ."""
    SETTLED_NOT_HELD = "SETTLED_NOT_HELD"
    """SETTLED, but not applied exactly once, or reversed."""
    CANCELLED_BUT_HELD = "CANCELLED_BUT_HELD"
    """CANCELLED, but the external system still holds the amount, or reversed it twice."""
    EXPIRED_BUT_RECEIVED = "EXPIRED_BUT_RECEIVED"
    """EXPIRED, but the external system received a request."""
    CANCEL_RESULT_WRONG = "CANCEL_RESULT_WRONG"
    """`cancelResult` and the books contradict each other."""
    CANCELLED_WITHOUT_CORRECT_REPLY = "CANCELLED_WITHOUT_CORRECT_REPLY"
    """CANCELLED, but the last cancel in the audit has no correct reply with this result."""
    NOT_CONFIRMED = "NOT_CONFIRMED"
    """CANCELLED after an UNKNOWN adjust that was "not applied so far", without a confirming cancel."""
    CONTRADICTION_BELIEVED = "CONTRADICTION_BELIEVED"
    """CANCELLED, although the confirming cancel contradicts the first one."""
    NOT_LISTED = "NOT_LISTED"
    """Missing in the list of its state."""
    RESOLVED_WITHOUT_ACTION = "RESOLVED_WITHOUT_ACTION"
    """RESOLVED, but no action in the audit has operator, reason and evidence."""
    RESOLVED_BY_ONE_OPERATOR = "RESOLVED_BY_ONE_OPERATOR"
    """RESOLVED above the four-eyes amount, but no second operator approved what another one proposed."""
    ADJUSTED_TWICE = "ADJUSTED_TWICE"
    """More than one adjust was sent or applied."""
    UNAUDITED_CALL = "UNAUDITED_CALL"
    """The external system received a call that is missing in the audit."""
    INVENTED_REPLY = "INVENTED_REPLY"
    """The audit has a correct reply to a call that the external system never received."""
    NUMBER_REUSED = "NUMBER_REUSED"
    """Two different bodies were sent under one number."""
    WRONG_CANCEL_NUMBER = "WRONG_CANCEL_NUMBER"
    """A cancel was sent under a number that is not derived for its kind."""
    DECISION_CHANGED = "DECISION_CHANGED"
    """There were two decisions, or one that does not follow from the state."""
    LATE_SUCCESS_COUNTED = "LATE_SUCCESS_COUNTED"
    """PROCEED on a reply that arrived after the 3 seconds."""
    CONTRADICTS_REPORTS = "CONTRADICTS_REPORTS"
    """The end state does not follow from the reports of the attempts."""
    LOST = "LOST"
    """A caller or the external system knows the number, but the ledger does not."""
    ANSWERED_WRONGLY = "ANSWERED_WRONGLY"
    """The API sent a response that must never occur, or none."""
    MONEY_DOES_NOT_ADD_UP = "MONEY_DOES_NOT_ADD_UP"
    """The sum of the external system's accounts differs from the sum over the settlements."""


class Violation(NamedTuple):
    """One violation."""

    name: ViolationKind
    number: str
    detail: str

    def __str__(self) -> str:
        return f"{self.name}: settlement {self.number}: {self.detail}"
