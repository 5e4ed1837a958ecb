"""The next step of a settlement: what happens, who does it, and by when. Computed from the snapshot, without I/O."""

from datetime import datetime, timedelta

from schemas.explanation import NextStep, command_on
from settlement.calls import Rule
from settlement.external_systems import waits_for
from settlement.ids import CancelKind
from settlement.limits import ADJUST_START_TO_CLOSE, CANCEL_START_TO_CLOSE
from settlement.policy import SettlementPolicy, attempts_of_round, is_sparse, waits_s
from settlement.round_position import RoundPosition, due_times, in_process_replies, round_position, utc_text
from settlement.snapshot import ResolutionProposal, Snapshot
from settlement.start import SettlementInput
from settlement.states import CancelResult, State, contradicts

NOBODY, AUTOMATION, OPERATOR = "nobody", "automation", "operator"


def next_step(settlement: SettlementInput, snapshot: Snapshot) -> NextStep:
    """Return the next step. Its time is the latest one while workers run; without a worker the step waits for one.

    It does not include a `Retry-After`, or replies "still in process", that are still to come.
    """
    match snapshot.state:
        case State.ADJUSTING:
            return _decision(settlement)
        case State.CANCELLING:
            return _compensation(settlement, snapshot)
        case State.ABORTED:
            return _operator_decision(settlement, snapshot)
        case _:
            return NextStep(text=f"Finished; nothing to do.{_reversed_twice(snapshot)}", who=NOBODY)


def round_lasts_at_most(policy: SettlementPolicy) -> timedelta:
    """Return the maximum duration of one round of cancels: the limits of all attempts, and the waits between them."""
    return CANCEL_START_TO_CLOSE * attempts_of_round(policy) + timedelta(seconds=sum(waits_s(policy)))


def _decision(settlement: SettlementInput) -> NextStep:
    expires_at = settlement.expires_at
    return NextStep(
        text="The adjust is sent, or the order expires without being sent. The decision follows immediately.",
        who=AUTOMATION,
        at=expires_at + ADJUST_START_TO_CLOSE,
    )


def _compensation(settlement: SettlementInput, snapshot: Snapshot) -> NextStep:
    if (rule := waits_for(settlement.system, snapshot.reason)) is not None:
        return _wait(settlement.system, rule)
    confirming = next((intent for intent in snapshot.cancel_intents if intent.kind is CancelKind.CONFIRMING), None)
    last = snapshot.calls[-1]
    if confirming is not None and last.cancel_result is not None and last.kind is not CancelKind.CONFIRMING:
        return NextStep(text=_quarantine(last.cancel_result), who=AUTOMATION, at=confirming.due_at)
    position = round_position(settlement, snapshot)
    due = due_times(settlement.policy, position)
    return NextStep(
        text=_attempts(settlement.policy, snapshot, position, due),
        who=AUTOMATION,
        at=(due[-1] if due else position.next_due_at) + CANCEL_START_TO_CLOSE * len(due),
    )


def _wait(system: str, rule: Rule) -> NextStep:
    looks_again = "The cancel waits for it, looks again at least every minute, and uses up no attempt."
    match rule:
        case Rule.NOT_CONFIGURED:
            text = f"Unless it has been done, complete the configuration of the external system {system}. {looks_again}"
            return NextStep(text=text, who=OPERATOR)
        case Rule.BREAKER_OPEN:
            text = f"The circuit breaker of the external system {system} must close, or let this cancel through first."
        case _:
            text = f"The external system {system} must have fewer calls than its limit."
    return NextStep(text=f"{text} {looks_again}", who=AUTOMATION)


def _quarantine(result: CancelResult) -> str:
    if result is CancelResult.REVERSED:
        return "After the quarantine a confirming cancel is sent, because the policy wants every result confirmed."
    return "After the quarantine a confirming cancel is sent, in case the adjust arrived late."


def _attempts(policy: SettlementPolicy, snapshot: Snapshot, position: RoundPosition, due: tuple[datetime, ...]) -> str:
    """Say how often and when the cancel is sent in what is left of the round."""
    made = position.attempts_made
    aborted = "If none does, the settlement becomes ABORTED and an operator decides."
    if is_sparse(policy, made):
        times = ", ".join(map(utc_text, due))
        text = (
            f"The {policy.cancel_max_attempts} attempts of the first band are used up. cancel adjust is sent up to "
            f"{len(due)} times more in the sparse band, until a reply settles it, at about {times}. {aborted} The "
            "timeline shows these attempts when the band ends; until then the Temporal UI shows them."
        )
    else:
        left = f"up to {len(due)} times" if made == 0 else f"up to {len(due)} times more"
        sparse = _sparse_attempts(policy, due)
        text = f"cancel adjust is sent {left} in this round, {sparse}until a reply settles it. {aborted}"
    if snapshot.calls[-1].verdict.rule is not Rule.CODE_MEANS_IN_PROCESS:
        return text
    return (
        f"The broker still processes the cancel. It is sent again at {utc_text(position.next_due_at)}. Reply "
        f"{in_process_replies(snapshot)} of {policy.cancel_in_process_max} that use no attempt. {text}"
    )


def _sparse_attempts(policy: SettlementPolicy, due: tuple[datetime, ...]) -> str:
    count = policy.cancel_sparse_attempts
    if not count:
        return ""
    return f"the last {count} of them in the sparse band from about {utc_text(due[-count])} on, "


def _reversed_twice(snapshot: Snapshot) -> str:
    """Say what two replies REVERSED mean for the money; empty unless there were two."""
    if any(snapshot.cancel_result_of(kind) is not CancelResult.REVERSED for kind in CancelKind):
        return ""
    return (
        " Both cancels were answered REVERSED. A broker that follows the contract gave the amount back once. Whether "
        "it gave it back twice, only its statement shows."
    )


def _operator_decision(settlement: SettlementInput, snapshot: Snapshot) -> NextStep:
    number, system, proposal = settlement.adjust.requestUniqueNo, settlement.system, snapshot.proposal
    if proposal is not None:
        return _second_operator(number, system, proposal)
    closing = "close the case with the broker's reference"
    if settlement.needs_second_operator:
        closing = "propose how to close it, with the broker's reference; an operator of another client approves it"
    return NextStep(
        text=_question_to_broker(snapshot, closing),
        who=OPERATOR,
        commands=(
            command_on(number, "retry", "--reason BROKER_RECOVERED", '--note "why"', system=system),
            command_on(
                number,
                "resolve",
                "--reason REVERSED_BY_BROKER",
                '--note "why"',
                '--reference "their ticket"',
                system=system,
            ),
        ),
    )


def _question_to_broker(snapshot: Snapshot, closing: str) -> str:
    first, confirming = (snapshot.cancel_result_of(kind) for kind in CancelKind)
    if first is not None and confirming is not None and contradicts(first, confirming):
        return (
            f"The broker answered {first} to the first cancel and {confirming} to the confirming one, so one reply is "
            "false. Ask it whether the adjust was applied, and how often the amount was given back. Then retry the "
            f"confirming cancel, or {closing}."
        )
    if snapshot.calls and snapshot.calls[-1].verdict.rule is Rule.CODE_MEANS_REFUSED:
        return (
            "The broker refuses the cancel for good. Ask it about the request numbers in the timeline. Then "
            f"{closing}, or retry the cancel if the broker will accept it now."
        )
    return f"Ask the broker about the request numbers in the timeline. Then retry the cancel, or {closing}."


def _second_operator(number: str, system: str, proposal: ResolutionProposal) -> NextStep:
    named = f"--proposal {proposal.proposal_no}"
    return NextStep(
        text=(
            f"{proposal.operator} has proposed {proposal.reason_code} (proposal {proposal.proposal_no}, broker's "
            f"reference: {proposal.broker_reference}). An operator of another client approves it. Any operator can "
            "withdraw it, or retry the cancel instead."
        ),
        who=OPERATOR,
        commands=(
            command_on(number, "approve", named, '--note "why"', system=system),
            command_on(number, "withdraw", named, '--note "why"', system=system),
        ),
    )
