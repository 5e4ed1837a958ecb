"""POST …/cancel-adjust-retries and …/resolution: the actions of an operator on an aborted settlement.

Both are idempotent. Equal requests use the same Update id, so Temporal executes the Update once. A request whose action
is already in the ledger is answered from the ledger.
"""

import asyncio
import hashlib
from http import HTTPStatus
from weakref import WeakValueDictionary

import structlog
from fastapi import APIRouter, Response
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from activities.reconciliation.repair import Reconciler
from activities.temporal_calls import TemporalCallError, TemporalNotFoundError, TemporalTimeoutError, calling_temporal
from api.http.access import Actor, Caller
from api.http.problems import BODY_ERRORS, ProblemError, documented
from api.http.strict_body import StrictJsonRoute
from api.services import Injected, Services
from api.settlements.resource import NOT_IDENTIFIED, SETTLEMENTS, SettlementInPath, find_or_404, location, resource
from api.temporal_access import unconfirmed
from ledger import SettlementRecord
from schemas.problems import ErrorCode
from schemas.settlement import Settlement
from settlement.ids import SettlementId, workflow_id
from settlement.operator_rules import ResolveRequest, RetryRequest, operator_request
from settlement.snapshot import ActionKind, OperatorRequest, Snapshot
from settlement.states import END_STATES, State
from settlement.tasks import UpdateResult
from workflows.start import take_up

log = structlog.get_logger()
router = APIRouter(route_class=StrictJsonRoute)

ACTION_LIMIT_S = 5.0
"""How long a worker may take to confirm an action."""
READ_LIMIT_S = 2.0
"""How long a confirmed action may take to appear in the ledger."""
READ_PAUSE_S = 0.02

_RESTARTS: WeakValueDictionary[SettlementId, asyncio.Lock] = WeakValueDictionary()
"""Of concurrent requests for a settlement whose workflow was lost, one restarts it and the others wait."""

KIND_OF = {"retry_cancel_adjust": ActionKind.RETRY_CANCEL_ADJUST, "resolve": ActionKind.RESOLVE}
"""The kind in the audit, by the name of the Update."""

RESPONSES = documented(
    *NOT_IDENTIFIED,
    ErrorCode.WRONG_STATE,
    *BODY_ERRORS,
    ErrorCode.LEDGER_UNAVAILABLE,
    ErrorCode.TEMPORAL_UNAVAILABLE,
    ErrorCode.WORKERS_UNAVAILABLE,
)


@router.post(
    SETTLEMENTS + "/{requestUniqueNo}/cancel-adjust-retries",
    status_code=HTTPStatus.ACCEPTED,
    responses=RESPONSES,
)
async def post_cancel_adjust_retry(
    named: SettlementInPath, body: RetryRequest, services: Injected, response: Response, caller: Actor
) -> Settlement:
    """Retry cancel adjust of an ABORTED settlement, with the same number and a full round of attempts.

    Repeating the request after the settlement has left ABORTED does nothing and returns its current state.
    """
    found = await find_or_404(services, named, caller)
    response.headers["Location"] = location(found.settlement_id)
    return await _perform_once(services, found, "retry_cancel_adjust", _request(caller, body), response)


@router.post(
    SETTLEMENTS + "/{requestUniqueNo}/resolution",
    status_code=HTTPStatus.OK,
    responses=RESPONSES,
)
async def post_resolution(
    named: SettlementInPath, body: ResolveRequest, services: Injected, response: Response, caller: Actor
) -> Settlement:
    """Close an ABORTED settlement manually, with the evidence that the broker's books are correct.

    Repeating the request does nothing and returns the current state.
    """
    found = await find_or_404(services, named, caller)
    return await _perform_once(services, found, "resolve", _request(caller, body), response)


def _request(caller: Caller, body: RetryRequest | ResolveRequest) -> OperatorRequest:
    return operator_request(caller.client, caller.key_id, body)


async def _perform_once(
    services: Services, found: SettlementRecord, update: str, body: OperatorRequest, response: Response
) -> Settlement:
    if not _is_performed(found.snapshot, update, body):
        return await _perform(services, found, update, body)
    response.headers["Idempotent-Replayed"] = "true"
    return resource(services, found.settlement, found.snapshot)


def _is_performed(snapshot: Snapshot, update: str, body: OperatorRequest) -> bool:
    """Return whether the settlement has left ABORTED by the same action: same kind, operator and body.

    The key may differ: a client may repeat a request with the successor of its key.
    """
    actions = [action for action in snapshot.actions if action.kind is not ActionKind.TAKE_UP]
    if snapshot.state is State.ABORTED or not actions or actions[-1].kind is not KIND_OF[update]:
        return False
    compared = OperatorRequest.model_fields.keys() - {"key_id"}
    return all(getattr(actions[-1], name) == getattr(body, name) for name in compared)


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
    digest = hashlib.sha256(body.model_dump_json(exclude={"key_id"}).encode()).hexdigest()
    return f"{update}-{len(before.actions)}-{digest[:40]}"


async def _execute(services: Services, found: SettlementRecord, update: str, body: OperatorRequest) -> UpdateResult:
    try:
        async with calling_temporal(ACTION_LIMIT_S):
            try:
                return await _send(services, found, update, body)
            except TemporalNotFoundError:
                await _restart(services, found, update)
            return await _send(services, found, update, body)
    except WorkflowUpdateFailedError as error:
        reason = error.cause.message if isinstance(error.cause, ApplicationError) else f"{update} was not completed"
        raise ProblemError(ErrorCode.WRONG_STATE, reason) from error
    except TemporalTimeoutError as error:
        detail = "no worker confirmed the action in time; it may still be executed; read the state of the settlement"
        raise ProblemError(ErrorCode.WORKERS_UNAVAILABLE, detail) from error
    except TemporalNotFoundError as error:
        detail = f"{update} needs state ABORTED; its workflow has ended; settlement reconcile records its end state"
        raise ProblemError(ErrorCode.WRONG_STATE, detail) from error
    except TemporalCallError as error:
        raise unconfirmed(error, "Temporal did not confirm the action") from error


async def _send(services: Services, found: SettlementRecord, update: str, body: OperatorRequest) -> UpdateResult:
    update_id = _update_id(update, found.snapshot, body)
    async with calling_temporal():
        handle = (await services.temporal.client()).get_workflow_handle(workflow_id(found.settlement_id))
        result: UpdateResult = await handle.execute_update(update, body, id=update_id, result_type=UpdateResult)
    return result


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
