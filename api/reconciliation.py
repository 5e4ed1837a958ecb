"""GET /v1/reconciliation, its findings, and POST …/rounds: what does not fit between ledger and Temporal."""

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field
from temporalio.client import ScheduleOverlapPolicy
from temporalio.service import RPCError, RPCStatusCode

from api.http.access import Actor, Reader
from api.http.parameters import Plain, PlainInt
from api.http.problems import ProblemError, documented
from api.http.strict_body import StrictJsonRoute
from api.services import Injected, Services
from ledger import Findings, TakeUps
from ledger.reconciliation.findings import FINDING_PAGE_MAX
from schemas.problems import ErrorCode
from schemas.reconciliation import FindingClosingRequest, ReconciliationStatus
from settlement.ids import RECONCILIATION_SCHEDULE
from settlement.reconciliation import (
    CLOSED_BY_OPERATOR,
    Finding,
    FindingPage,
    FindingStatus,
    TakeUpAllowance,
    TakeUpRequest,
)

log = structlog.get_logger()
router = APIRouter(route_class=StrictJsonRoute)

RECONCILIATION = "/v1/reconciliation"
TRIGGER_LIMIT_S = 3.0
FINDING_ID_MAX = 2**31 - 1


FindingId = Annotated[int, Path(alias="findingId", ge=1, le=FINDING_ID_MAX), Plain]


class FindingQuery(BaseModel):
    """What may be asked for."""

    status: FindingStatus | None = None
    before: Annotated[int, Field(ge=1, le=FINDING_ID_MAX), Plain] | None = Field(
        default=None, description="A page's nextBefore."
    )
    limit: PlainInt = Field(default=50, ge=1, le=FINDING_PAGE_MAX)


@router.get(RECONCILIATION, responses=documented(ErrorCode.LEDGER_UNAVAILABLE))
async def get_reconciliation(services: Injected, _: Reader) -> ReconciliationStatus:
    """Read how the last round ended and how many findings wait for a person. Needs neither a worker nor Temporal."""
    return await _reconciliation(services)


@router.post(
    f"{RECONCILIATION}/rounds",
    status_code=HTTPStatus.ACCEPTED,
    responses=documented(ErrorCode.LEDGER_UNAVAILABLE, ErrorCode.TEMPORAL_UNAVAILABLE, ErrorCode.WORKERS_UNAVAILABLE),
)
async def post_reconciliation_round(services: Injected, caller: Actor) -> ReconciliationStatus:
    """Have a round run now. While one is running, one more is run after it; asking again then adds none.

    It has ended once `lastRound.roundId` is another one.
    """
    reconciliation = await _reconciliation(services)
    await _trigger(services)
    log.info("a round of reconciliation is asked for", operator=caller.owner)
    return reconciliation


@router.post(
    f"{RECONCILIATION}/take-up-allowances",
    status_code=HTTPStatus.CREATED,
    responses=documented(
        ErrorCode.VALIDATION_FAILED,
        ErrorCode.MALFORMED_REQUEST,
        ErrorCode.BODY_TOO_LARGE,
        ErrorCode.UNSUPPORTED_MEDIA_TYPE,
        ErrorCode.LEDGER_UNAVAILABLE,
    ),
)
async def post_take_up_allowance(body: TakeUpRequest, services: Injected, caller: Actor) -> TakeUpAllowance:
    """Allow reconciliation to start lost workflows anew beyond the limit of a round, for one hour from now.

    Each of them sends its cancel adjust to the broker. Look at the finding TAKE_UP_LIMIT first. Repeating this
    allows as many once more.
    """
    allowance = await TakeUps(services.ledger.engine).allow(body, caller.owner, datetime.now(UTC))
    log.warning("take-ups allowed", count=allowance.count, operator=caller.owner, until=allowance.expires_at)
    return allowance


@router.post(
    f"{RECONCILIATION}/findings/{{findingId}}/closing",
    responses=documented(
        ErrorCode.NOT_FOUND,
        ErrorCode.WRONG_STATE,
        ErrorCode.VALIDATION_FAILED,
        ErrorCode.MALFORMED_REQUEST,
        ErrorCode.BODY_TOO_LARGE,
        ErrorCode.UNSUPPORTED_MEDIA_TYPE,
        ErrorCode.LEDGER_UNAVAILABLE,
    ),
)
async def post_finding_closing(
    finding_id: FindingId, body: FindingClosingRequest, services: Injected, response: Response, caller: Actor
) -> Finding:
    """Close a finding that no round clears (DECISION_CONFLICT), once both sides and the broker's books were compared.

    It moves no money. Repeating it changes nothing: who closed it first, and why, stays. It stays closed while later
    rounds find the same; if a state has changed on either side, they open a new finding.
    """
    record = Findings(services.ledger.engine)
    found = await record.find(finding_id)
    if found is None:
        raise ProblemError(ErrorCode.NOT_FOUND, f"no finding has the id {finding_id}")
    if found.status is FindingStatus.OPEN and found.kind not in CLOSED_BY_OPERATOR:
        detail = f"a finding {found.kind} is closed by the first round that does not see it any more"
        raise ProblemError(ErrorCode.WRONG_STATE, detail)
    reference = f" ({body.broker_reference})" if body.broker_reference else ""
    repair = f"closed by {caller.owner}: {body.note}{reference}"
    if not await record.close(finding_id, FindingStatus.CLOSED, repair, datetime.now(UTC)):
        response.headers["Idempotent-Replayed"] = "true"
    else:
        log.warning("finding closed", finding=finding_id, operator=caller.owner)
    return await record.find(finding_id) or found


@router.get(
    f"{RECONCILIATION}/findings",
    responses=documented(ErrorCode.VALIDATION_FAILED, ErrorCode.LEDGER_UNAVAILABLE),
)
async def list_findings(services: Injected, query: Annotated[FindingQuery, Query()], _: Reader) -> FindingPage:
    """List what did not fit, newest first; `status=OPEN` is what a person must look at."""
    return await _findings(services).page(status=query.status, before=query.before, limit=query.limit)


async def _reconciliation(services: Services) -> ReconciliationStatus:
    last_round = await _findings(services).last_round()
    return ReconciliationStatus(
        last_round=last_round,
        open_findings=last_round.open_findings if last_round else await _findings(services).count_open(),
        schedule=f"every {services.settings.reconcile_every_s} s",
    )


def _findings(services: Services) -> Findings:
    return Findings(services.ledger.readers)


async def _trigger(services: Services) -> None:
    try:
        async with asyncio.timeout(TRIGGER_LIMIT_S):
            handle = (await services.temporal.client()).get_schedule_handle(RECONCILIATION_SCHEDULE)
            # The schedule itself skips what overlaps; what a person asks for must not be lost that way.
            await handle.trigger(overlap=ScheduleOverlapPolicy.BUFFER_ONE)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            detail = "there is no schedule yet: the first worker that starts makes it; no round was asked for"
            raise ProblemError(ErrorCode.WORKERS_UNAVAILABLE, detail) from error
        raise _unavailable(error) from error
    except (TimeoutError, RuntimeError) as error:
        # RuntimeError is how the client reports that it could not connect at all.
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> ProblemError:
    log.error("temporal unavailable", error=str(error) or type(error).__name__)
    return ProblemError(
        ErrorCode.TEMPORAL_UNAVAILABLE, "Temporal did not confirm; a round may still have been asked for"
    )
