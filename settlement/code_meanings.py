"""Meanings that the configuration gives to codes of cancel replies beyond the contract (docs/external-systems.md)."""

from enum import StrEnum

from settlement.calls import Rule
from settlement.states import CancelResult, Outcome


class CodeMeaning(StrEnum):
    """What a code in a reply to a cancel means at one external system."""

    REVERSED = "reversed"
    """The adjust was applied and is given back now, or was given back before."""
    NOT_APPLIED = "not-applied"
    """The adjust was received, but not applied."""
    NEVER_RECEIVED = "never-received"
    """The adjust was never received."""
    IN_PROCESS = "in-process"
    """The broker still processes it. The cancel is sent again after a wait, and no attempt is used up."""
    REFUSED = "refused"
    """The broker refuses the cancel for good. The settlement becomes ABORTED at once."""


VERDICT_OF_MEANING: dict[CodeMeaning, tuple[Outcome, Rule]] = {
    CodeMeaning.REVERSED: (Outcome.APPLIED, Rule.CODE_MEANS_REVERSED),
    CodeMeaning.NOT_APPLIED: (Outcome.REJECTED, Rule.CODE_MEANS_NOT_APPLIED),
    CodeMeaning.NEVER_RECEIVED: (Outcome.REJECTED, Rule.CODE_MEANS_NEVER_RECEIVED),
    CodeMeaning.IN_PROCESS: (Outcome.REJECTED, Rule.CODE_MEANS_IN_PROCESS),
    CodeMeaning.REFUSED: (Outcome.REJECTED, Rule.CODE_MEANS_REFUSED),
}

RESULT_OF_RULE: dict[Rule, CancelResult] = {
    Rule.CODE_MEANS_REVERSED: CancelResult.REVERSED,
    Rule.CODE_MEANS_NOT_APPLIED: CancelResult.NOT_APPLIED,
    Rule.CODE_MEANS_NEVER_RECEIVED: CancelResult.NEVER_RECEIVED,
}
"""The declared meanings that settle a cancel."""
