"""What the Temporal UI shows of a settlement. No personal data, because these texts are not encrypted there."""

import re

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from settlement.external_systems import WAITING
from settlement.ids import STATE_ATTRIBUTE, cancel_unique_no
from settlement.operator_rules import PLACEHOLDERS, ResolveReason, RetryReason
from settlement.round_position import plan_in_words, round_position
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.states import State

SETTLEMENT_STATE = SearchAttributeKey.for_keyword(STATE_ATTRIBUTE)
# Keywords, not Ints: the Temporal UI reads Ints as doubles, so above 2^53 it shows and searches for another number.
ORDER_ID = SearchAttributeKey.for_keyword("OrderId")
COMPANY_ID = SearchAttributeKey.for_keyword("CompanyId")
CURRENCY = SearchAttributeKey.for_keyword("Currency")
OPERATION_TYPE = SearchAttributeKey.for_keyword("OperationType")

SEARCH_ATTRIBUTES = (SETTLEMENT_STATE, ORDER_ID, COMPANY_ID, CURRENCY, OPERATION_TYPE)
"""They must be registered with the namespace before a settlement can start."""

_RETRY_TEMPLATE = f"""```json
{{
  "operator": "{PLACEHOLDERS["operator"]}",
  "reasonCode": "{RetryReason.BROKER_RECOVERED}",
  "note": "{PLACEHOLDERS["note"]}"
}}
```
reasonCode: {", ".join(RetryReason)}. Replace the text in angle brackets; the template itself is rejected."""
_RESOLVE_TEMPLATE = f"""```json
{{
  "operator": "{PLACEHOLDERS["operator"]}",
  "reasonCode": "{ResolveReason.REVERSED_BY_BROKER}",
  "note": "{PLACEHOLDERS["note"]}",
  "brokerReference": "{PLACEHOLDERS["brokerReference"]}"
}}
```
reasonCode: {", ".join(ResolveReason)}."""
# The UI's form for an Update shows only a name and a description, so the input to paste is shown on the page.
HOW_TO_ACT = f"""When this settlement is ABORTED: **More Actions → Send an Update**, choose a name, paste the input.

**retry_cancel_adjust** sends cancel adjust again, under the same number, with a full round of attempts.
{_RETRY_TEMPLATE}

**resolve** sends nothing and closes the case: only when the broker has corrected it by hand.
{_RESOLVE_TEMPLATE}

An Update from here is recorded as `temporal-ui, unverified`. It is refused if SETTLEMENT_UI_ACTS is off, and above the
four-eyes amount: use `settlement retry`, `settlement resolve` and `settlement approve` then.

After an Update this page shows the old details until it is reloaded.

If this workflow was terminated, it accepts no Update. `settlement retry` and `settlement resolve` start a new run and
act on it. A reconciliation round (`settlement reconcile`) also starts a new run, which then accepts Updates.

If these details are missing, no worker answers. The API still shows everything from the ledger."""

_PASTE = "Input to paste: User Metadata, Current Details."
RETRY_DESCRIPTION = (
    f"Send cancel adjust again, under the same number. Only when ABORTED. {_PASTE} "
    f"reasonCode: {', '.join(RetryReason)}."
)
RESOLVE_DESCRIPTION = (
    f"Close an aborted settlement that the broker has corrected by hand; sends nothing. {_PASTE} "
    f"reasonCode: {', '.join(ResolveReason)}."
)
_SIGNED_ONLY = "Only the API sends it: settlement resolve, settlement approve, settlement withdraw."
PROPOSE_DESCRIPTION = f"Propose a resolution above the four-eyes amount. {_SIGNED_ONLY}"
APPROVE_DESCRIPTION = f"Close the settlement as another client has proposed. {_SIGNED_ONLY}"
WITHDRAW_DESCRIPTION = f"Remove the proposed resolution. {_SIGNED_ONLY}"

FOUR_EYES = (
    "**Above the four-eyes amount.** Updates from this page are refused. One operator proposes the resolution "
    "(`settlement resolve`); an operator of another client approves it (`settlement approve`)."
)

_WHAT_NEXT = {
    State.ADJUSTING: "Waiting for the external system's answer to adjust.",
    State.SETTLED: "The credit is adjusted; the order may proceed. Nothing to do.",
    State.EXPIRED: "Adjust was never sent; the external system holds nothing. Nothing to do.",
    State.CANCELLING: "The order is void. Cancel adjust is retried until the external system is consistent.",
    State.CANCELLED: "The order is void and the external system is consistent. Nothing to do.",
    State.ABORTED: (
        "**An operator must act.** The order is void, but the external system may still hold the credit.\n\n"
        "Ask the broker for the state of the numbers below, or whether its outage is over. "
        "Then choose **More Actions → Send an Update** and `retry_cancel_adjust` or `resolve`. "
        "The input to paste is shown below."
    ),
    State.RESOLVED: "Closed by an operator; see the operator actions in the audit. Nothing to do.",
}

DECISION_CONFLICT = (
    "**An operator must act.** The ledger has the opposite decision for this settlement: two Temporal clusters have "
    "worked on it, or one was restored. Compare the broker's books with what the platform was told; see the finding "
    "`DECISION_CONFLICT`."
)


def search_attributes(settlement: SettlementInput, state: State) -> TypedSearchAttributes:
    """Return the typed search attributes that a settlement's workflow starts with.

    `SettlementState` is absent while the settlement is ADJUSTING, and usually when it is SETTLED (`show`).
    """
    adjust = settlement.adjust
    pairs = [
        SearchAttributePair(ORDER_ID, str(adjust.orderId)),
        SearchAttributePair(CURRENCY, adjust.currency),
        SearchAttributePair(OPERATION_TYPE, adjust.operationType),
    ]
    if state is not State.ADJUSTING:
        pairs.append(SearchAttributePair(SETTLEMENT_STATE, state.value))
    if settlement.company_id is not None:
        pairs.append(SearchAttributePair(COMPANY_ID, str(settlement.company_id)))
    return TypedSearchAttributes(pairs)


def money(settlement: SettlementInput) -> str:
    """Return amount and currency as one phrase, such as "12.50 USD"."""
    return f"{settlement.adjust.amount} {settlement.adjust.currency}"


def static_summary(settlement: SettlementInput) -> str:
    """Return the line beside the workflow in the UI's list."""
    adjust = settlement.adjust
    return f"{adjust.operationType} {money(settlement)}, order {adjust.orderId}"


def show(settlement: SettlementInput, snapshot: Snapshot, *, decision_conflict: bool) -> None:
    """Update search attribute and current details from the snapshot. Call it from the workflow only.

    SETTLED is not written to the search attribute: it would be one more event in the history of every settlement, and a
    completed workflow without the attribute is SETTLED. `mark_state` writes it where the workflow stays open.

    How to act is shown here and not in the static details, which would be in the history of every settlement.
    """
    if snapshot.state is not State.SETTLED:
        mark_state(snapshot.state)
    how_to_act = HOW_TO_ACT if snapshot.state is State.ABORTED else ""
    shown = [details(settlement, snapshot, decision_conflict=decision_conflict), how_to_act]
    workflow.set_current_details("\n\n".join(part for part in shown if part))


def mark_state(state: State) -> None:
    """Write the state to the search attribute. Call it from the workflow only."""
    workflow.upsert_search_attributes([SETTLEMENT_STATE.value_set(state.value)])


def _calls_in_short(snapshot: Snapshot) -> str:
    """Return the outcome of the adjust and of the last cancel; fixed words only."""
    if snapshot.adjust is None:
        return ""
    text = f"Adjust: {snapshot.adjust.outcome} ({snapshot.adjust.rule})."
    attempts = sum(snapshot.cancel_attempts(intent.kind) for intent in snapshot.cancel_intents)
    if attempts:
        last = snapshot.calls[-1].verdict
        text += f" Cancel attempts: {attempts}; the last one: {last.outcome} ({last.rule})."
    return text


def _plan(settlement: SettlementInput, snapshot: Snapshot) -> str:
    """Return when the attempts of a round that begins are due; later, the reason says it."""
    if snapshot.state is not State.CANCELLING or snapshot.reason.startswith(WAITING):
        return ""
    position = round_position(settlement, snapshot)
    if position.attempts_made:
        return ""
    return f"Cancel adjust, {plan_in_words(settlement.policy, position)}."


def code_span(text: str) -> str:
    """Return Markdown that shows a text as it is: its fence is longer than any run of backticks in the text."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    # Markdown takes one space off either end where both are there, and a fence must not touch a backtick.
    pad = " " if text[0] in " `" or text[-1] in " `" else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _numbers_sent(settlement: SettlementInput, snapshot: Snapshot) -> str:
    """Return the numbers by which the external system knows this settlement's calls."""
    number = settlement.adjust.requestUniqueNo
    cancels = (
        cancel_unique_no(number, intent.kind)
        for intent in snapshot.cancel_intents
        if snapshot.cancel_attempts(intent.kind)
    )
    return "Numbers at the external system:\n" + "\n".join(map(code_span, (number, *cancels)))


def _four_eyes(settlement: SettlementInput, snapshot: Snapshot) -> str:
    """Return who must act on a resolution above the four-eyes amount; the reason code is a fixed word."""
    if snapshot.state is not State.ABORTED or not settlement.needs_second_operator:
        return ""
    proposal = snapshot.proposal
    if proposal is None:
        return FOUR_EYES
    return f"{FOUR_EYES}\n\nProposal {proposal.proposal_no}, {proposal.reason_code}, waits for the second operator."


def details(settlement: SettlementInput, snapshot: Snapshot, *, decision_conflict: bool = False) -> str:
    """Return in Markdown what happened and what to do next."""
    parts = [
        f"### {snapshot.state}: {money(settlement)}, order {settlement.adjust.orderId}",
        DECISION_CONFLICT if decision_conflict else "",
        snapshot.reason,
        _plan(settlement, snapshot),
        _calls_in_short(snapshot),
        _WHAT_NEXT[snapshot.state],
        _four_eyes(settlement, snapshot),
        _numbers_sent(settlement, snapshot),
    ]
    return "\n\n".join(part for part in parts if part)
