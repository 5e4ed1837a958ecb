"""The next step of a settlement: what happens, who does it, and by when. Computed from the snapshot, without I/O."""

from datetime import datetime, timedelta

from schemas.explanation import NextStep, command_on
from settlement.calls import Rule
from settlement.external_systems import waits_for
from settlement.ids import CancelKind
from settlement.limits import ADJUST_START_TO_CLOSE, CANCEL_START_TO_CLOSE
from settlement.policy import SettlementPolicy, waits_s
from settlement.snapshot import CancelIntent, ResolutionProposal, Snapshot
from settlement.start import SettlementInput
from settlement.states import State

NOBODY, AUTOMATION, OPERATOR = "nobody", "automation", "operator"


def next_step(settlement: SettlementInput, snapshot: Snapshot) -> NextStep:
    """Return the next step. Its time is the latest one while workers run; without a worker the step waits for one."""
    match snapshot.state:
        case State.ADJUSTING:
            return _decision(settlement)
        case State.CANCELLING:
            return _compensation(settlement, snapshot)
        case State.ABORTED:
            return _operator_decision(settlement, snapshot)
        case _:
            return NextStep(text="Finished; nothing to do.", who=NOBODY)


def round_lasts_at_most(policy: SettlementPolicy) -> timedelta:
    """Return the maximum duration of one round of cancels: the limits of all attempts, and the waits between them."""
    return CANCEL_START_TO_CLOSE * policy.cancel_max_attempts + timedelta(seconds=sum(waits_s(policy)))


def _decision(settlement: SettlementInput) -> NextStep:
    expires_at = settlement.expires_at
    return NextStep(
        text="The adjust is sent, or the order expires without being sent. The decision follows immediately.",
        who=AUTOMATION,
        at=expires_at + ADJUST_START_TO_CLOSE,
    )


def _compensation(settlement: SettlementInput, snapshot: Snapshot) -> NextStep:
    policy = settlement.policy
    if (rule := waits_for(settlement.system, snapshot.reason)) is not None:
        return _wait(settlement.system, rule)
    confirming = next((intent for intent in snapshot.cancel_intents if intent.kind is CancelKind.CONFIRMING), None)
    if confirming is not None and snapshot.calls[-1].cancel_result is not None:
        return NextStep(
            text="After the quarantine a confirming cancel is sent, in case the adjust arrived late.",
            who=AUTOMATION,
            at=confirming.due_at,
        )
    return NextStep(
        text=(
            f"cancel adjust is sent up to {policy.cancel_max_attempts} times in this round, until a reply settles it. "
            "If none does, the settlement becomes ABORTED and an operator decides."
        ),
        who=AUTOMATION,
        at=_round_started_at(snapshot, confirming) + round_lasts_at_most(policy),
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


def _round_started_at(snapshot: Snapshot, confirming: CancelIntent | None) -> datetime:
    started = [each.at for each in snapshot.state_changes if each.state is State.CANCELLING]
    # A take-up starts a round without a change of state.
    started += [action.at for action in snapshot.actions]
    return max([*started, *([confirming.due_at] if confirming else [])], default=snapshot.updated_at)


def _operator_decision(settlement: SettlementInput, snapshot: Snapshot) -> NextStep:
    number, system, proposal = settlement.adjust.requestUniqueNo, settlement.system, snapshot.proposal
    if proposal is not None:
        return _second_operator(number, system, proposal)
    closing = "close the case with the broker's reference"
    if settlement.needs_second_operator:
        closing = "propose how to close it, with the broker's reference; an operator of another client approves it"
    return NextStep(
        text=f"Ask the broker about the request numbers in the timeline. Then retry the cancel, or {closing}.",
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
