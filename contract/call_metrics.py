"""The metric of external calls: its name and labels, which workers count in activities and workflows alike."""

from contract.calls import CallRecord

EXTERNAL_CALLS = "settlement_external_calls"
EXTERNAL_CALLS_HELP = "External calls by outcome."
NO_PHASE = "NONE"


def outcome_labels(call: CallRecord) -> dict[str, str]:
    """Return operation and outcome. Labels are enum values of `contract`, never a text that was received."""
    return {"operation": call.operation.value, "outcome": call.verdict.outcome.value}


def call_labels(call: CallRecord) -> dict[str, str]:
    """Return all labels of `EXTERNAL_CALLS`: operation, outcome, rule and phase."""
    verdict = call.verdict
    return outcome_labels(call) | {
        "rule": verdict.rule.value,
        "phase": verdict.phase.value if verdict.phase else NO_PHASE,
    }
