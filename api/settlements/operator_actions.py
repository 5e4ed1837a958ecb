"""POST …/cancel-adjust-retries and …/resolution: what an operator may do to an aborted settlement.

A repeated call is the same act and answers the same: equal calls send Temporal one Update under one id, and one
that comes when the act is in the ledger answers from there.
"""

import asyncio
import hashlib
from http import HTTPStatus
from weakref import WeakValueDictionary

import structlog
from fastapi import APIRouter, Response
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.reconciliation.repair import Reconciler
from api.http.access import Actor
from api.http.problems import ProblemError, documented
from api.http.strict_body import StrictJsonRoute
from api.services import Injected, Services
from api.settlements.resource import SETTLEMENTS, NumberInPath, find_or_404, location, resource
from ledger import SettlementRecord
from schemas.problems import ErrorCode
from schemas.settlement import Settlement
from settlement.ids import workflow_id
from settlement.operator_rules import ResolveRequest, RetryRequest, operator_request
from settlement.snapshot import ActionKind, OperatorRequest, Snapshot
from settlement.states import END_STATES, State
from settlement.tasks import UpdateResult
from workflows.start import take_up

log = structlog.get_logger()
router = APIRouter(route_class=StrictJsonRoute)

ACT_LIMIT_S = 5.0
"""How long an act may take to be confirmed by a worker."""
READ_LIMIT_S = 2.0
"""How long a confirmed act may take to arrive in the ledger."""
READ_PAUSE_S = 0.02

_RESTARTS: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
"""By number: of those who act at once on a settlement whose workflow was lost, one has it started, the others wait."""

KIND_OF = {"retry_cancel_adjust": ActionKind.RETRY_CANCEL_ADJUST, "resolve": ActionKind.RESOLVE}
"""What the audit calls each Update."""

RESPONSES = documented(
    ErrorCode.NOT_FOUND,
    ErrorCode.WRONG_STATE,
    ErrorCode.VALIDATION_FAILED,
    ErrorCode.MALFORMED_REQUEST,
    ErrorCode.BODY_TOO_LARGE,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE,
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
    number: NumberInPath, body: RetryRequest, services: Injected, response: Response, caller: Actor
) -> Settlement:
    """Have cancel adjust tried again with the same number and a full round of attempts. Only when ABORTED.

    The same call again, once it has led out of ABORTED, does nothing and answers for the settlement as it stands.
    """
    response.headers["Location"] = location(number)
    return await _act(services, number, "retry_cancel_adjust", operator_request(caller.owner, body), response)


@router.post(
    SETTLEMENTS + "/{requestUniqueNo}/resolution",
    status_code=HTTPStatus.OK,
    responses=RESPONSES,
)
async def post_resolution(
    number: NumberInPath, body: ResolveRequest, services: Injected, response: Response, caller: Actor
) -> Settlement:
    """Close an aborted settlement by hand, with the evidence that the broker's books are right. Only when ABORTED.

    The same call again does nothing and answers for the settlement as it stands.
    """
    return await _act(services, number, "resolve", operator_request(caller.owner, body), response)


async def _act(services: Services, number: str, update: str, body: OperatorRequest, response: Response) -> Settlement:
    found = await find_or_404(services, number)
    if not _is_done(found.snapshot, update, body):
        return await _carry_out(services, found, update, body)
    response.headers["Idempotent-Replayed"] = "true"
    return resource(services, found.settlement, found.snapshot)


def _is_done(snapshot: Snapshot, update: str, body: OperatorRequest) -> bool:
    """Tell whether the settlement has left ABORTED by this very act: same kind, same caller, same body."""
    acts = [act for act in snapshot.actions if act.kind is not ActionKind.TAKE_UP]
    if snapshot.state is State.ABORTED or not acts or acts[-1].kind is not KIND_OF[update]:
        return False
    return all(getattr(acts[-1], name) == getattr(body, name) for name in OperatorRequest.model_fields)


async def _carry_out(services: Services, found: SettlementRecord, update: str, body: OperatorRequest) -> Settlement:
    result = await _execute(services, found, update, body)
    log.info("operator act", settlement=found.number, act=update, operator=body.operator)
    snapshot = await _after(services, found, result)
    return resource(services, found.settlement, snapshot)


async def _after(services: Services, found: SettlementRecord, result: UpdateResult) -> Snapshot:
    """Return the settlement with the act in it, once the workflow's own write has arrived in the ledger.

    The act is done and in the workflow's history: nothing here raises. Without a ledger, or if the write takes longer
    than `READ_LIMIT_S`, the answer has the new state and the audit from before the act.
    """
    try:
        async with asyncio.timeout(READ_LIMIT_S):
            while True:
                written = await services.ledger.find(found.number)
                if written is not None and written.snapshot.version >= result.version:
                    return written.snapshot
                await asyncio.sleep(READ_PAUSE_S)
    except (SQLAlchemyError, OSError) as error:
        log.warning("an act is done, but not read back", settlement=found.number, error=type(error).__name__)
    return found.snapshot.model_copy(update={"state": result.state, "version": result.version})


def _act_id(update: str, before: Snapshot, body: OperatorRequest) -> str:
    """Return the Update's id: equal calls on the same state of the ledger are one act, of which all get the answer.

    With the number of acts so far, so that the same words can be meant again when the settlement is ABORTED again.
    """
    digest = hashlib.sha256(body.model_dump_json().encode()).hexdigest()
    return f"{update}-{len(before.actions)}-{digest[:40]}"


async def _execute(services: Services, found: SettlementRecord, update: str, body: OperatorRequest) -> UpdateResult:
    try:
        async with asyncio.timeout(ACT_LIMIT_S):
            try:
                return await _send(services, found, update, body)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                await _restart(services, found, update)
            return await _send(services, found, update, body)
    except WorkflowUpdateFailedError as error:
        reason = error.cause.message if isinstance(error.cause, ApplicationError) else f"{update} was not completed"
        raise ProblemError(ErrorCode.WRONG_STATE, reason) from error
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
        detail = "no worker confirmed the act in time; it may still be carried out; read the settlement's state"
        raise ProblemError(ErrorCode.WORKERS_UNAVAILABLE, detail) from error
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            detail = f"{update} needs state ABORTED; its workflow has ended; settlement reconcile writes down how"
            raise ProblemError(ErrorCode.WRONG_STATE, detail) from error
        raise ProblemError(ErrorCode.TEMPORAL_UNAVAILABLE, "Temporal did not confirm the act") from error
    except RuntimeError as error:
        # How the client reports that it could not connect at all.
        raise ProblemError(ErrorCode.TEMPORAL_UNAVAILABLE, "Temporal cannot be reached") from error


async def _send(services: Services, found: SettlementRecord, update: str, body: OperatorRequest) -> UpdateResult:
    handle = (await services.temporal.client()).get_workflow_handle(workflow_id(found.number))
    act_id = _act_id(update, found.snapshot, body)
    result: UpdateResult = await handle.execute_update(update, body, id=act_id, result_type=UpdateResult)
    return result


async def _restart(services: Services, found: SettlementRecord, update: str) -> None:
    """Start the workflow of an aborted settlement again, as reconciliation would; repeating it joins that workflow.

    It goes on from what ledger and lost workflow knew, and waits for its operator as before; nothing is sent by that.
    Raises ProblemError WRONG_STATE, naming the remedy, for a settlement in another state and where reconciliation
    would leave the case to a person.
    """
    state = found.snapshot.state
    if state in END_STATES:
        raise ProblemError(ErrorCode.WRONG_STATE, f"{update} needs state ABORTED; this settlement is {state}")
    lost = f"this settlement is {state}, and Temporal has no running workflow of it"
    if state is not State.ABORTED:
        detail = f"{update} needs state ABORTED; {lost}; settlement reconcile starts it again"
        raise ProblemError(ErrorCode.WRONG_STATE, detail)
    reconciler = Reconciler(await services.temporal.client(), services.ledger.engine, take_up)
    async with _RESTARTS.setdefault(found.number, asyncio.Lock()):
        examined = await reconciler.restart_aborted(found.number)
    log.warning("restarted for an operator", settlement=found.number, repaired=examined.repaired)
    if examined.kind is not None and not examined.repaired:
        detail = f"{lost}; it was not started again: settlement findings says why; then settlement reconcile, and retry"
        raise ProblemError(ErrorCode.WRONG_STATE, detail)
