"""The names of everything that can be broken: a planted bug is caught by them."""

from enum import StrEnum
from typing import NamedTuple


class Broken(StrEnum):
    """The names of all violations."""

    NOT_AT_REST = "NOT_AT_REST"
    """It neither ended nor waits for a person."""
    STORIES_DIFFER = "STORIES_DIFFER"
    """Workflow, ledger and API do not tell the same story."""
    SETTLED_NOT_HELD = "SETTLED_NOT_HELD"
    """SETTLED, and not applied exactly once and left so."""
    CANCELLED_BUT_HELD = "CANCELLED_BUT_HELD"
    """CANCELLED, and the external system still holds the amount, or gave it back twice."""
    EXPIRED_BUT_RECEIVED = "EXPIRED_BUT_RECEIVED"
    """EXPIRED, and the external system received something."""
    CANCEL_RESULT_UNTRUE = "CANCEL_RESULT_UNTRUE"
    """`cancelResult` and the books contradict each other."""
    CANCELLED_WITHOUT_CORRECT_REPLY = "CANCELLED_WITHOUT_CORRECT_REPLY"
    """CANCELLED, and the last cancel in the audit has not the correct reply that says so."""
    NOT_CONFIRMED = "NOT_CONFIRMED"
    """CANCELLED after "not so far" about an adjust of unknown outcome, and nobody looked a second time."""
    NOT_LISTED = "NOT_LISTED"
    """Not in the operators' list of its state."""
    RESOLVED_BY_NOBODY = "RESOLVED_BY_NOBODY"
    """RESOLVED, and no act says by whom, why and on what evidence."""
    ADJUSTED_TWICE = "ADJUSTED_TWICE"
    """More than one adjust was sent, or applied."""
    UNAUDITED_CALL = "UNAUDITED_CALL"
    """The external system received a call that the audit does not have."""
    INVENTED_REPLY = "INVENTED_REPLY"
    """The audit has a correct reply to a call that the external system never received."""
    NUMBER_REUSED = "NUMBER_REUSED"
    """Two different bodies under one number."""
    WRONG_CANCEL_NUMBER = "WRONG_CANCEL_NUMBER"
    """A cancel was sent under another number than the one derived for its kind."""
    DECISION_CHANGED = "DECISION_CHANGED"
    """Two decisions were given, or one that its state does not imply."""
    LATE_SUCCESS_COUNTED = "LATE_SUCCESS_COUNTED"
    """PROCEED on a reply that came after the 3 seconds."""
    NOT_WHAT_IT_WAS_TOLD = "NOT_WHAT_IT_WAS_TOLD"
    """Its end does not follow from what our side was told, call by call."""
    LOST = "LOST"
    """A caller was told of it, or the external system knows its number, and the ledger does not."""
    ANSWERED_WRONGLY = "ANSWERED_WRONGLY"
    """The API gave an answer that it must never give, or none."""
    MONEY_DOES_NOT_ADD_UP = "MONEY_DOES_NOT_ADD_UP"
    """The sum of the external system's accounts is not what the settlements say that it holds."""


class Violation(NamedTuple):
    """One broken promise."""

    name: Broken
    number: str
    detail: str

    def __str__(self) -> str:
        return f"{self.name}: settlement {self.number}: {self.detail}"
