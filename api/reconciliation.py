"""/v1/reconciliation: the last round, its findings, starting a round, allowing take-ups, closing a finding."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field
from temporalio.client import ScheduleOverlapPolicy

from activities.temporal_calls import TemporalCallError, TemporalNotFoundError, calling_temporal
from api.http.access import Actor, InstallationActor, InstallationReader, Reader
from api.http.page_cost import count_page
from api.http.problems import BODY_ERRORS, ProblemError, documented
from api.http.strict_body import StrictJsonRoute
from api.http.strict_requests import Plain, PlainInt
from api.services import Injected, Services
from api.temporal_access import unconfirmed
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
    """The filter of a list of findings, and the position in it."""

    status: FindingStatus | None = None
    before: Annotated[int, Field(ge=1, le=FINDING_ID_MAX), Plain] | None = Field(
        default=None, description="`nextBefore` of the previous page."
    )
    limit: PlainInt = Field(default=50, ge=1, le=FINDING_PAGE_MAX)


@router.get(RECONCILIATION, responses=documented(ErrorCode.LEDGER_UNAVAILABLE))
async def get_reconciliation(services: Injected, _: InstallationReader) -> ReconciliationStatus:
    """Read how the last round ended and how many findings are open. Needs neither a worker nor Temporal.

    It counts the whole installation, so it requires a key with the scope `all`, as do a round and an allowance.
    """
    return await _reconciliation(services)


@router.post(
    f"{RECONCILIATION}/rounds",
    status_code=HTTPStatus.ACCEPTED,
    responses=documented(ErrorCode.LEDGER_UNAVAILABLE, ErrorCode.TEMPORAL_UNAVAILABLE, ErrorCode.WORKERS_UNAVAILABLE),
)
async def post_reconciliation_round(services: Injected, caller: InstallationActor) -> ReconciliationStatus:
    """Start a round of reconciliation now, or right after the round that is running.

    Repeating it adds no further round, and requests within one second are one round. The round has ended when
    `lastRound.roundId` has changed.
    """
    reconciliation = await _reconciliation(services)
    await _trigger(services)
    log.info("round of reconciliation requested", **caller.as_operator)
    return reconciliation


@router.post(
    f"{RECONCILIATION}/take-up-allowances",
    status_code=HTTPStatus.CREATED,
    responses=documented(
        *BODY_ERRORS,
        ErrorCode.LEDGER_UNAVAILABLE,
    ),
)
async def post_take_up_allowance(body: TakeUpRequest, services: Injected, caller: InstallationActor) -> TakeUpAllowance:
    """Allow reconciliation to start new workflows for more lost settlements than its limit, for one hour from now.

    Each new workflow sends a cancel adjust to the broker. Read the finding TAKE_UP_LIMIT first. Repeating this request
    allows the same number once more.
    """
    record = TakeUps(services.ledger.engine)
    allowance = await record.allow(body, caller.client, datetime.now(UTC), key_id=caller.key_id)
    log.warning("take-ups allowed", count=allowance.count, until=allowance.expires_at, **caller.as_operator)
    return allowance


@router.post(
    f"{RECONCILIATION}/findings/{{findingId}}/closing",
    responses=documented(
        ErrorCode.NOT_FOUND,
        ErrorCode.WRONG_STATE,
        *BODY_ERRORS,
        ErrorCode.LEDGER_UNAVAILABLE,
    ),
)
async def post_finding_closing(
    finding_id: FindingId, body: FindingClosingRequest, services: Injected, response: Response, caller: Actor
) -> Finding:
    """Close a finding that no round clears (DECISION_CONFLICT or STATEMENT_…), after clarifying it with the broker.

    It moves no money. Repeating it changes nothing: the first operator and reason stay on record. It stays closed while
    later rounds or imports find the same. If either side has changed, they open a new finding.
    """
    findings = Findings(services.ledger.engine)
    found = await findings.find(finding_id, caller.scope)
    if found is None:
        raise ProblemError(ErrorCode.NOT_FOUND, f"no finding has the id {finding_id}")
    if found.status is FindingStatus.OPEN and found.kind not in CLOSED_BY_OPERATOR:
        detail = f"a finding {found.kind} is cleared by the first round that no longer detects it"
        raise ProblemError(ErrorCode.WRONG_STATE, detail)
    reference = f" ({body.broker_reference})" if body.broker_reference else ""
    key = f" (key {caller.key_id})" if caller.key_id else ""
    repair = f"closed by {caller.client}{key}: {body.note}{reference}"
    if not await findings.close(finding_id, FindingStatus.CLOSED, repair, datetime.now(UTC)):
        response.headers["Idempotent-Replayed"] = "true"
    else:
        log.warning("finding closed", finding=finding_id, **caller.as_operator)
    return await findings.find(finding_id) or found


@router.get(
    f"{RECONCILIATION}/findings",
    responses=documented(ErrorCode.VALIDATION_FAILED, ErrorCode.LEDGER_UNAVAILABLE),
)
async def list_findings(services: Injected, query: Annotated[FindingQuery, Query()], caller: Reader) -> FindingPage:
    """List findings, newest first. `status=OPEN` lists those that an operator must look at.

    A key whose scope is not `all` sees the findings about settlements of its companies.
    """
    await count_page(services, caller, query.limit)
    return await _findings(services).page(
        status=query.status, before=query.before, limit=query.limit, scope=caller.scope
    )


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
        async with calling_temporal(TRIGGER_LIMIT_S):
            handle = (await services.temporal.client()).get_schedule_handle(RECONCILIATION_SCHEDULE)
            # The schedule skips a round that overlaps another one. A round that an operator requests must run.
            await handle.trigger(overlap=ScheduleOverlapPolicy.BUFFER_ONE)
    except TemporalNotFoundError as error:
        detail = "no round was requested: there is no schedule yet; the first worker that starts creates it"
        raise ProblemError(ErrorCode.WORKERS_UNAVAILABLE, detail) from error
    except TemporalCallError as error:
        detail = "Temporal did not confirm; the round may have been requested all the same"
        raise unconfirmed(error, detail) from error
