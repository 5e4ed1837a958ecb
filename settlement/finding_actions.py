"""The action that is recommended to an operator for each kind of finding. `docs/operations.md` explains them."""

from settlement.reconciliation import FindingKind

_CLOSE = "then close the finding with the broker's reference"

ACTIONS: dict[FindingKind, str] = {
    FindingKind.WORKFLOW_ENDED_FROM_OUTSIDE: "find out who ended the workflow, and explain the settlement",
    FindingKind.WORKFLOW_MISSING: "find out why the workflow is missing, and explain the settlement",
    FindingKind.LEDGER_BEHIND: "check whether ledger writes fail",
    FindingKind.LEDGER_MISSING: "compare with the platform's own list",
    FindingKind.LEDGER_AHEAD: "compare with the broker's books; then resolve it in the Temporal UI",
    FindingKind.DECISION_CONFLICT: f"compare the broker's books with what the platform was told; {_CLOSE}",
    FindingKind.WORKFLOW_STUCK: "roll the workers back to the previous release",
    FindingKind.SYSTEM_NOT_CONFIGURED: "complete the configuration of the external system",
    FindingKind.WRONG_TEMPORAL: "correct the worker's address of Temporal or of the ledger",
    FindingKind.TAKE_UP_LIMIT: "find out why so many workflows are lost; then allow their take-up",
    FindingKind.STATEMENT_APPLIED_BUT_VOID: f"have the broker reverse the amount; {_CLOSE}",
    FindingKind.STATEMENT_MISSING_BUT_SETTLED: (
        f"ask the broker whether it applied the adjust; if not, have it book the amount; {_CLOSE}"
    ),
    FindingKind.STATEMENT_REVERSED_BUT_SETTLED: (
        f"ask the broker why it reversed the adjust; have it book the amount again; {_CLOSE}"
    ),
    FindingKind.STATEMENT_APPLIED_TWICE: f"have the broker reverse every application but the first; {_CLOSE}",
    FindingKind.STATEMENT_REVERSED_TWICE: f"have the broker take the surplus reversal back; {_CLOSE}",
    FindingKind.STATEMENT_DIFFERENT_AMOUNT: f"have the broker correct the amount; {_CLOSE}",
    FindingKind.STATEMENT_UNKNOWN_NUMBER: (
        f"find out who sent the adjust: another client of the broker, or a ledger that was restored; {_CLOSE}"
    ),
    FindingKind.STATEMENT_MISSING_NUMBER: (
        f"ask the broker what its cancel reversed, and whether its statement is complete; {_CLOSE}"
    ),
}
