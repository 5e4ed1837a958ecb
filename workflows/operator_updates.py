"""The Updates that operators send: who may act, what a request must contain, and what each act changes.

Checks run only in the validators of the Updates. A validator does not run during a replay, so it may use the key and
the settings of this worker, and a rule can become stricter while settlements are open.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from settlement.ids import APPROVE_UPDATE, PROPOSE_UPDATE, RESOLVE_UPDATE, RETRY_UPDATE, WITHDRAW_UPDATE
from settlement.operator_rules import PLACEHOLDERS, ProposalRules, ResolveRules, RetryRules
from settlement.snapshot import ActionKind, OperatorRequest, ResolutionProposal
from settlement.start import SettlementStart
from settlement.states import State
from settlement.tasks import UpdateRefusal, UpdateResult
from settlement.update_signature import Sender
from workflows.journal import Journal
from workflows.saga_state import SagaState
from workflows.sender_check import SENDER_CHECK

EMPTY_REQUEST = OperatorRequest()
"""Default argument of the Updates. It always fails validation, so an Update without input gets an error that names
the missing fields."""

RULES: Mapping[str, type[BaseModel]] = {
    RETRY_UPDATE: RetryRules,
    RESOLVE_UPDATE: ResolveRules,
    PROPOSE_UPDATE: ResolveRules,
    APPROVE_UPDATE: ProposalRules,
    WITHDRAW_UPDATE: ProposalRules,
}
"""The rules of a complete request, by the name of the Update."""

USE_INSTEAD = "use the command settlement or the API instead, with a key of an operator"


class OperatorActs:
    """The operator's acts on one settlement."""

    def __init__(self, settlement: SettlementStart, saga: SagaState, journal: Journal) -> None:
        self._settlement = settlement
        self._saga = saga
        self._journal = journal

    def check(self, update: str, request: OperatorRequest) -> None:
        """Raise ApplicationError, with a type of `UpdateRefusal`, unless the Update may change the settlement now."""
        self._check_sender(update, request)
        if self._saga.state is not State.ABORTED:
            message = f"{update} needs state ABORTED; this settlement is {self._saga.state}"
            raise _refused(UpdateRefusal.WRONG_STATE, message)
        self._check_moment(request)
        check_rules(RULES[update], request)
        if update == RESOLVE_UPDATE and self._settlement.needs_second_operator:
            message = "this settlement is above the four-eyes amount: propose_resolution, then another client approves"
            raise _refused(UpdateRefusal.FOUR_EYES, message)
        if update == PROPOSE_UPDATE and not self._settlement.needs_second_operator:
            raise _refused(UpdateRefusal.FOUR_EYES, "this settlement needs no second operator: use resolve")
        if update in {APPROVE_UPDATE, WITHDRAW_UPDATE}:
            self._check_proposal(update, request)
        if update in {PROPOSE_UPDATE, WITHDRAW_UPDATE} and not self._journal.has_room():
            message = "the ledger cannot be reached, and the actions that it lacks are too many; repeat it later"
            raise _refused(UpdateRefusal.WRONG_STATE, message)

    def _check_sender(self, update: str, request: OperatorRequest) -> None:
        # A worker without the check refuses every Update.
        check: Callable[..., Sender] = workflow.extern_functions().get(SENDER_CHECK, lambda *_: Sender.FORGED)
        sender = check(workflow.info().workflow_id, update, request)
        if sender is Sender.API:
            return
        if sender not in {Sender.OTHER, Sender.NOT_PERMITTED}:
            raise _refused(UpdateRefusal.FORGED, "the signature is not valid for this Update of this settlement")
        if self._settlement.needs_second_operator:
            message = f"this settlement is above the four-eyes amount, so an Update must be signed: {USE_INSTEAD}"
            raise _refused(UpdateRefusal.UNVERIFIED, message)
        if sender is Sender.NOT_PERMITTED:
            message = f"Updates without a signature are switched off (SETTLEMENT_UI_ACTS=off): {USE_INSTEAD}"
            raise _refused(UpdateRefusal.UNVERIFIED, message)
        for field, value in (("keyId", request.key_id), ("batchId", request.batch_id)):
            if value is not None:
                raise _refused(UpdateRefusal.INVALID_REQUEST, f"{field}: only the API may set it")

    def _check_moment(self, request: OperatorRequest) -> None:
        actions = self._saga.snapshot.action_count
        if request.signature is not None and request.signature.earlier_actions != actions:
            message = "another action on this settlement came first; read it again, then decide"
            raise _refused(UpdateRefusal.STALE, message, actions)

    def _check_proposal(self, update: str, request: OperatorRequest) -> None:
        proposal = self._saga.snapshot.proposal
        if proposal is None or proposal.proposal_no != request.proposal_no:
            message = f"{request.proposal_no} is not the number of the current proposal"
            message += f", which is {proposal.proposal_no}" if proposal else ": there is none"
            raise _refused(UpdateRefusal.WRONG_STATE, message)
        if update == APPROVE_UPDATE and proposal.operator == request.operator:
            message = f"{request.operator} has proposed this resolution; another client must approve it"
            raise _refused(UpdateRefusal.SAME_OPERATOR, message)

    def resolve(self, request: OperatorRequest) -> UpdateResult:
        """Close the settlement."""
        self._saga.record_action(ActionKind.RESOLVE, request.as_recorded())
        return self._enter_resolved()

    def propose(self, request: OperatorRequest) -> UpdateResult:
        """Record the proposed resolution. It replaces an earlier one."""
        act = request.as_recorded()
        proposal = ResolutionProposal(
            proposal_no=self._saga.snapshot.action_count,
            operator=act.operator,
            key_id=act.key_id,
            reason_code=act.reason_code or "",
            note=act.note,
            broker_reference=act.broker_reference or "",
            at=workflow.now(),
        )
        self._saga.record_action(ActionKind.PROPOSE_RESOLUTION, act)
        self._saga.set_proposal(proposal)
        return self._saga.update_result()

    def approve(self, request: OperatorRequest) -> UpdateResult:
        """Close the settlement as proposed. The proposal stays in the snapshot."""
        self._saga.record_action(ActionKind.APPROVE_RESOLUTION, request.as_recorded())
        return self._enter_resolved()

    def withdraw(self, request: OperatorRequest) -> UpdateResult:
        """Remove the proposal. Its own client withdraws it; any other client rejects it."""
        self._saga.record_action(ActionKind.WITHDRAW_PROPOSAL, request.as_recorded())
        self._saga.set_proposal(None)
        return self._saga.update_result()

    def _enter_resolved(self) -> UpdateResult:
        self._saga.enter(
            State.RESOLVED, "resolved by an operator; the operator actions say by whom and on what evidence"
        )
        return self._saga.update_result()


def check_rules(rules: type[BaseModel], request: OperatorRequest) -> None:
    """Raise ApplicationError INVALID_REQUEST, in one line that names each field and its rule, unless all rules hold.

    A field that is missing, empty, or still holds the template's placeholder is named with what to fill in.
    """
    given = request.model_dump(by_alias=True, exclude_none=True, exclude={"signature"})
    filled_in = {name: value for name, value in given.items() if value not in {"", PLACEHOLDERS.get(name)}}
    try:
        rules.model_validate(filled_in)
    except ValidationError as error:
        broken = "; ".join(_rule(each["loc"], each["type"], each["msg"]) for each in error.errors())
        message = f"{broken}. The input to paste is shown under User Metadata, Current Details"
        raise _refused(UpdateRefusal.INVALID_REQUEST, message) from None


def _rule(where: tuple[int | str, ...], kind: str, message: str) -> str:
    field = ".".join(str(part) for part in where)
    if kind == "missing":
        return f"{field} is missing: fill in {PLACEHOLDERS[field]}"
    return f"{field}: {message}"


def _refused(refusal: UpdateRefusal, message: str, *details: Any) -> ApplicationError:  # noqa: ANN401 - as the SDK's
    return ApplicationError(message, *details, type=refusal)
