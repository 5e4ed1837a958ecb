"""POST …/cancel-adjust-retries and …/resolution: what an operator may do to an aborted settlement."""

import asyncio
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Depends, Response
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from api.access import Actor
from api.json_body import unambiguous_json
from api.problems import ProblemError, documented
from api.resource import SETTLEMENTS, NumberInPath, find_or_404, location, resource
from api.services import Injected, Services
from contract.errors import ErrorCode
from contract.ids import workflow_id
from contract.operator_rules import ResolveOrder, RetryOrder, request_of
from contract.payloads import OperatorRequest, Snapshot
from contract.settlement import Settlement

log = structlog.get_logger()
router = APIRouter(dependencies=[Depends(unambiguous_json)])

ACT_LIMIT_S = 5.0
"""How long an act may take to be confirmed by a worker."""

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
    number: NumberInPath, body: RetryOrder, services: Injected, response: Response, caller: Actor
) -> Settlement:
    """Have cancel adjust tried again with the same number and a full round of attempts. Only when ABORTED."""
    response.headers["Location"] = location(number)
    return await _act(services, number, "retry_cancel_adjust", request_of(caller.owner, body))


@router.post(
    SETTLEMENTS + "/{requestUniqueNo}/resolution",
    status_code=HTTPStatus.OK,
    responses=RESPONSES,
)
async def post_resolution(number: NumberInPath, body: ResolveOrder, services: Injected, caller: Actor) -> Settlement:
    """Close an aborted settlement by hand, with the evidence that the broker's books are right. Only when ABORTED."""
    return await _act(services, number, "resolve", request_of(caller.owner, body))


async def _act(services: Services, number: str, update: str, body: OperatorRequest) -> Settlement:
    found = await find_or_404(services, number)
    handle = services.temporal.get_workflow_handle(workflow_id(number))
    snapshot = await _execute(handle, update, body)
    log.info("operator act", settlement=number, act=update, operator=body.operator)
    try:
        await services.ledger.record(found.settlement, snapshot)
    except (SQLAlchemyError, OSError) as error:
        # The act is done and in the history; the workflow's own write brings it into the ledger.
        log.warning("not written through", settlement=number, error=type(error).__name__)
    return resource(services, found.settlement, snapshot)


async def _execute(handle: WorkflowHandle[object, object], update: str, body: OperatorRequest) -> Snapshot:
    try:
        async with asyncio.timeout(ACT_LIMIT_S):
            snapshot: Snapshot = await handle.execute_update(update, body, result_type=Snapshot)
            return snapshot
    except WorkflowUpdateFailedError as error:
        reason = error.cause.message if isinstance(error.cause, ApplicationError) else f"{update} was not completed"
        raise ProblemError(ErrorCode.WRONG_STATE, reason) from error
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
        detail = "no worker confirmed the act in time; it may still be carried out; read the settlement's state"
        raise ProblemError(ErrorCode.WORKERS_UNAVAILABLE, detail) from error
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            detail = f"{update} needs state ABORTED; Temporal has no running workflow of this settlement"
            raise ProblemError(ErrorCode.WRONG_STATE, detail) from error
        raise ProblemError(ErrorCode.TEMPORAL_UNAVAILABLE, "Temporal did not confirm the act") from error
    except RuntimeError as error:
        # How the client reports that it could not connect at all.
        raise ProblemError(ErrorCode.TEMPORAL_UNAVAILABLE, "Temporal cannot be reached") from error
