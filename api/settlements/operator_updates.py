"""Sends an operator's action to the settlement's workflow as a signed Update, and reads the result back.

Every action is idempotent. Equal requests use the same Update id, so Temporal executes the Update once. A request whose
action is already in the ledger is answered from the ledger.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from weakref import WeakValueDictionary

import structlog
from fastapi import Response
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from activities.reconciliation.repair import Reconciler
from activities.stale_updates import actions_if_stale
from activities.temporal_calls import TemporalCallError, TemporalNotFoundError, TemporalTimeoutError, calling_temporal
from api.http.problems import ProblemError
from api.services import Services
from api.settlements.resource import resource
from api.temporal_access import unconfirmed
from ledger import SettlementRecord
from schemas.problems import ErrorCode
from schemas.settlement import Settlement
from settlement.ids import (
    APPROVE_UPDATE,
    PROPOSE_UPDATE,
    RESOLVE_UPDATE,
    RETRY_UPDATE,
    WITHDRAW_UPDATE,
    SettlementId,
    workflow_id,
)
from settlement.snapshot import ActionKind, OperatorAct, OperatorRequest, ResolutionProposal, Snapshot
from settlement.states import END_STATES, State
from settlement.tasks import UpdateRefusal, UpdateResult
from workflows.start import take_up

log = structlog.get_logger()

ACTION_LIMIT_S = 5.0
"""How long a worker may take to confirm an action."""
READ_LIMIT_S = 2.0
"""How long a confirmed action may take to appear in the ledger."""
READ_PAUSE_S = 0.02

_RESTARTS: WeakValueDictionary[SettlementId, asyncio.Lock] = WeakValueDictionary()
"""Of concurrent requests for a settlement whose workflow was lost, one restarts it and the others wait."""

KIND_OF = {
    RETRY_UPDATE: ActionKind.RETRY_CANCEL_ADJUST,
    RESOLVE_UPDATE: ActionKind.RESOLVE,
    PROPOSE_UPDATE: ActionKind.PROPOSE_RESOLUTION,
    APPROVE_UPDATE: ActionKind.APPROVE_RESOLUTION,
    WITHDRAW_UPDATE: ActionKind.WITHDRAW_PROPOSAL,
}
"""The kind in the audit, by the name of the Update."""
ERROR_OF: Mapping[str | None, ErrorCode] = {
    UpdateRefusal.SAME_OPERATOR: ErrorCode.SECOND_OPERATOR_REQUIRED,
    UpdateRefusal.FORGED: ErrorCode.SIGNING_KEYS_DIFFER,
}
"""The error code, by the refusal of the workflow; any other refusal is WRONG_STATE."""


async def perform_once(
    services: Services, found: SettlementRecord, update: str, body: OperatorRequest, response: Response
) -> Settlement:
    """Perform an action, unless the ledger has it; return the settlement. Raises ProblemError if it was not done."""
    if not _is_performed(found.snapshot, update, body):
        return await _perform(services, found, update, body)
    response.headers["Idempotent-Replayed"] = "true"
    return resource(services, found.settlement, found.snapshot)


def _is_performed(snapshot: Snapshot, update: str, body: OperatorRequest) -> bool:
    """Return whether the same action, with the same operator and body, is the last one and in effect.

    The key may differ: a client may repeat a request with the successor of its key.
    """
    if update == PROPOSE_UPDATE:
        # Also after the approval, which keeps the proposal.
        compared = {"operator", "reason_code", "note", "broker_reference"}
        return snapshot.proposal is not None and _same(snapshot.proposal, body, compared)
    is_aborted = snapshot.state is State.ABORTED
    actions = [action for action in snapshot.actions if action.kind is not ActionKind.TAKE_UP]
    if is_aborted is not (update == WITHDRAW_UPDATE) or not actions or actions[-1].kind is not KIND_OF[update]:
        return False
    return _same(actions[-1], body, OperatorAct.model_fields.keys() - {"key_id"})


def _same(known: OperatorAct | ResolutionProposal, body: OperatorRequest, fields: AbstractSet[str]) -> bool:
    return all(getattr(known, name) == getattr(body, name) for name in fields)


async def _perform(services: Services, found: SettlementRecord, update: str, body: OperatorRequest) -> Settlement:
    result = await _execute(services, found, update, body)
    log.info(
        "operator action",
        settlement=str(found.settlement_id),
        action=update,
        operator=body.operator,
        key_id=body.key_id,
    )
    snapshot = await _read_back(services, found, result)
    return resource(services, found.settlement, snapshot)


async def _read_back(services: Services, found: SettlementRecord, result: UpdateResult) -> Snapshot:
    """Wait until the workflow has written the action to the ledger, and return that snapshot.

    The action is done and in the workflow's history, so this raises nothing. If the ledger is unreachable, or the write
    takes longer than `READ_LIMIT_S`, the result has the new state, but the audit from before the action.
    """
    try:
        async with asyncio.timeout(READ_LIMIT_S):
            while True:
                written = await services.ledger.find(found.settlement_id)
                if written is not None and written.snapshot.version >= result.version:
                    return written.snapshot
                await asyncio.sleep(READ_PAUSE_S)
    except (SQLAlchemyError, OSError) as error:
        log.warning(
            "operator action performed, but not read back",
            settlement=str(found.settlement_id),
            error=type(error).__name__,
        )
    return found.snapshot.model_copy(update={"state": result.state, "version": result.version})


def _update_id(update: str, before: Snapshot, body: OperatorRequest) -> str:
    """Return the id of the Update. Equal requests on the same snapshot get the same id, and so the same result.

    The id contains the number of earlier actions: if the settlement is ABORTED again, an equal request is a new action.
    It does not depend on the key: see `_is_performed`.
    """
    digest = hashlib.sha256(body.model_dump_json(exclude={"key_id", "signature"}).encode()).hexdigest()
    return f"{update}-{before.action_count}-{digest[:40]}"


async def _execute(services: Services, found: SettlementRecord, update: str, body: OperatorRequest) -> UpdateResult:
    try:
        async with calling_temporal(ACTION_LIMIT_S):
            try:
                return await _send(services, found, update, body)
            except TemporalNotFoundError:
                await _restart(services, found, update)
            return await _send_to_restarted(services, found, update, body)
    except WorkflowUpdateFailedError as error:
        raise _refused(error, update) from error
    except TemporalTimeoutError as error:
        detail = "no worker confirmed the action in time; it may still be executed; read the state of the settlement"
        raise ProblemError(ErrorCode.WORKERS_UNAVAILABLE, detail) from error
    except TemporalNotFoundError as error:
        detail = f"{update} needs state ABORTED; its workflow has ended; settlement reconcile records its end state"
        raise ProblemError(ErrorCode.WRONG_STATE, detail) from error
    except TemporalCallError as error:
        raise unconfirmed(error, "Temporal did not confirm the action") from error


def _refused(error: WorkflowUpdateFailedError, update: str) -> ProblemError:
    cause = error.cause
    if not isinstance(cause, ApplicationError):
        return ProblemError(ErrorCode.WRONG_STATE, f"{update} was not completed")
    code = ERROR_OF.get(cause.type, ErrorCode.WRONG_STATE)
    if code is ErrorCode.SIGNING_KEYS_DIFFER:
        log.error("the worker refused the signature of this API", update=update)
        detail = "the worker refused the signature: API and worker need the same SETTLEMENT_UPDATE_SIGNING_KEY"
        return ProblemError(code, detail)
    return ProblemError(code, cause.message)


async def _send(
    services: Services, found: SettlementRecord, update: str, body: OperatorRequest, actions: int | None = None
) -> UpdateResult:
    """Send the Update, signed for the actions that the caller could read, or for `actions`."""
    workflow, update_id = workflow_id(found.settlement_id), _update_id(update, found.snapshot, body)
    signed = services.signer.sign(workflow, update, found.snapshot.action_count if actions is None else actions, body)
    async with calling_temporal():
        handle = (await services.temporal.client()).get_workflow_handle(workflow)
        result: UpdateResult = await handle.execute_update(update, signed, id=update_id, result_type=UpdateResult)
    return result


async def _send_to_restarted(
    services: Services, found: SettlementRecord, update: str, body: OperatorRequest
) -> UpdateResult:
    """Send the Update to a workflow that has just been restarted: the take-up is one more action in its audit."""
    actions = found.snapshot.action_count + 1
    try:
        return await _send(services, found, update, body, actions)
    except WorkflowUpdateFailedError as error:
        # The lost workflow may have had actions that the ledger lacks, or another request has restarted it.
        if (known := actions_if_stale(error)) is None:
            raise
        return await _send(services, found, update, body, known)


async def _restart(services: Services, found: SettlementRecord, update: str) -> None:
    """Restart the workflow of an aborted settlement, as reconciliation does. Repeating it joins that workflow.

    The new workflow continues from the newest snapshot and waits for an operator; this alone sends nothing. Raises
    ProblemError WRONG_STATE, with the remedy, if the settlement is not ABORTED or reconciliation needs an operator.
    """
    state = found.snapshot.state
    if state in END_STATES:
        raise ProblemError(ErrorCode.WRONG_STATE, f"{update} needs state ABORTED; this settlement is {state}")
    lost = f"this settlement is {state}, and Temporal has no running workflow of it"
    if state is not State.ABORTED:
        detail = f"{update} needs state ABORTED; {lost}; settlement reconcile restarts it"
        raise ProblemError(ErrorCode.WRONG_STATE, detail)
    reconciler = Reconciler(await services.temporal.client(), services.ledger.engine, take_up)
    async with _RESTARTS.setdefault(found.settlement_id, asyncio.Lock()):
        examined = await reconciler.restart_aborted(found.settlement_id)
    log.warning("workflow restarted for an operator", settlement=str(found.settlement_id), repaired=examined.repaired)
    if examined.kind is not None and not examined.repaired:
        detail = f"{lost}; it was not restarted: settlement findings shows why; then run settlement reconcile and retry"
        raise ProblemError(ErrorCode.WRONG_STATE, detail)
