"""POST /v1/settlements: accept an order, start its settlement, and return the decision if it is made in time."""

import asyncio
import uuid
from contextlib import nullcontext
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from api.http.access import Caller, Submitter
from api.http.problems import BODY_ERRORS, FieldError, ProblemError, documented
from api.http.strict_body import StrictJsonRoute
from api.http.strict_requests import PlainInt64
from api.metrics import ACCEPTED, AMOUNT_LIMITED, DECISION_LATENCY, DECISIONS
from api.services import Injected, Services
from api.settlements.decision import start, start_and_decide, start_here, wait_seconds
from api.settlements.external_system import system_of_order, system_paused
from api.settlements.resource import SETTLEMENTS, location, resource
from contract.adjust import AdjustRequest
from ledger import NumberReusedError, SettlementRecord, SystemPausedError
from schemas.problems import ErrorCode
from schemas.settlement import Settlement
from settlement.ids import SettlementId
from settlement.order_limits import AmountLimitError, LimitKind
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput, accepted_snapshot
from workflows.start import take_up_if_stale

log = structlog.get_logger()
router = APIRouter(route_class=StrictJsonRoute)

POLL_AFTER_S = 1
"""`Retry-After` of a 202: an adjust is decided soon after its 3 seconds."""
ACCEPT_LIMIT_S = 5.0
"""How long the ledger may take to accept an order whose caller does not wait."""
DECIDE_AT_LEAST_S = 0.2
"""Minimum time for the start: an accepted order is started even if accepting it has used up the whole wait."""
LEDGER_LIMIT_S = 0.5
"""Limit for a read that only makes the response current. The settlement does not depend on it."""


class SettlementHeaders(BaseModel):
    """The headers of a POST, with the names of the wire contract."""

    trace: str | None = Field(
        default=None,
        max_length=128,
        pattern=r"^[\x21-\x2b\x2d-\x7e]+$",
        description="Identifies the order in every call. Generated if absent. No comma.",
    )
    company_id: PlainInt64 | None = Field(
        default=None,
        alias="companyId",
        description="The broker's company of the order. It is passed on to the external system. A repeated "
        "order must have the same one. A header, not a query parameter.",
        examples=[7],
    )
    prefer: list[str] = Field(
        default=[], description="`wait=N` (RFC 7240): return the decision if it is made within N seconds."
    )


@router.post(
    SETTLEMENTS,
    status_code=HTTPStatus.ACCEPTED,
    responses={
        200: {"model": Settlement, "description": "A repeated request: the current state of its settlement"},
        201: {"model": Settlement, "description": "Accepted and decided within the wait"},
        202: {"description": "Accepted and not decided yet; read the state at Location"},
        **documented(
            *BODY_ERRORS,
            ErrorCode.COMPANY_FORBIDDEN,
            ErrorCode.COMPANY_NOT_SERVED,
            ErrorCode.AMOUNT_LIMIT,
            ErrorCode.EXTERNAL_SYSTEM_PAUSED,
            ErrorCode.NUMBER_REUSED,
            ErrorCode.NUMBER_TAKEN,
            ErrorCode.TOO_MANY_WAITS_OF_CLIENT,
            ErrorCode.LEDGER_UNAVAILABLE,
            ErrorCode.TEMPORAL_UNAVAILABLE,
        ),
    },
)
async def post_settlement(
    request: AdjustRequest,
    services: Injected,
    response: Response,
    caller: Submitter,
    headers: Annotated[SettlementHeaders, Header()],
) -> Settlement:
    """Settle one order. `requestUniqueNo` is its idempotency key: a repeated order returns the same settlement.

    The number is unique at its external system, and among the orders of its company at all external systems. Another
    company may use it at another external system.

    A repeated order may differ in requestTime, ip, trace and the spelling of the amount. An order that differs in
    customer, user, currency, bizType, operationType, amount, orderId or companyId is rejected (409); the accepted order
    is unchanged. If that order is outside the scope of the key, the answer does not describe it (409 `number-taken`).

    The order may proceed only on `decision: PROCEED`. After any error it must not proceed. After a 503 or a broken
    connection the order may have been accepted; repeat the request to find out.
    """
    caller.check_company(headers.company_id, "an order")
    received_at = datetime.now(UTC)
    wait_s = wait_seconds(headers.prefer)
    ends_at = asyncio.get_running_loop().time() + (wait_s or ACCEPT_LIMIT_S)
    with services.quotas.wait(caller.client) if wait_s and caller.has_quotas else nullcontext():
        async with asyncio.timeout_at(ends_at):
            system = await system_of_order(services, request.requestUniqueNo, headers.company_id)
            settlement = SettlementInput(
                adjust=request.body(),
                trace=headers.trace or uuid.uuid4().hex,
                company_id=headers.company_id,
                system=system.name,
                accepted_at=received_at,
                policy=system.policy,
                four_eyes_above=services.settings.four_eyes_amount(request.currency),
                submitted_by=caller.submitted_by,
            )
            accepted, is_new = await _accept(services, settlement, caller)
        snapshot = accepted.snapshot
        if snapshot.decision is None:
            left_s = max(DECIDE_AT_LEAST_S, ends_at - asyncio.get_running_loop().time())
            snapshot = await _decide(services, accepted, wait_s and left_s, is_new=is_new)
    if is_new and snapshot.decision is not None:
        DECISION_LATENCY.observe((datetime.now(UTC) - received_at).total_seconds())
        DECISIONS.labels(snapshot.decision).inc()
    _describe(response, accepted.settlement_id, snapshot, is_new=is_new, wait_s=wait_s)
    return resource(services, accepted.settlement, snapshot)


async def _accept(services: Services, settlement: SettlementInput, caller: Caller) -> tuple[SettlementRecord, bool]:
    """Insert the order into the ledger, or find it there; return whether it is new. Rejects another order (409).

    The ledger comes before Temporal: it keeps settlements for longer, and GET reads from it.
    """
    try:
        limits = services.order_limits.active.applying_to(settlement)
        accepted, is_new = await services.ledger.accept(settlement, accepted_snapshot(settlement), limits)
    except SystemPausedError as paused:
        raise system_paused(paused) from paused
    except AmountLimitError as above:
        raise _above_limit(above, caller) from above
    except NumberReusedError as reused:
        in_scope = caller.scope.includes(reused.accepted.settlement.company_id)
        raise (_number_reused(reused) if in_scope else _number_taken()) from reused
    if is_new:
        ACCEPTED.inc()
        log.info(
            "accepted",
            settlement=str(accepted.settlement_id),
            trace=settlement.trace,
            order_id=settlement.adjust.orderId,
            client=caller.client,
            key_id=caller.key_id,
            system=settlement.system,
        )
    return accepted, is_new


def _above_limit(above: AmountLimitError, caller: Caller) -> ProblemError:
    """Return the error for an order above a limit. It does not say how much other orders have used."""
    limit, kind = above.limit, above.kind
    what = "one order" if kind is LimitKind.PER_ORDER else "all its orders of one hour"
    most = f"{limit.amount(kind)} {above.currency}"
    AMOUNT_LIMITED.labels(limit.name).inc()
    log.warning("order above a limit", limit=limit.name, kind=kind.value, client=caller.client, key_id=caller.key_id)
    detail = f"the order limit {limit.name} allows {most} for {what}; nothing was accepted and nothing was sent"
    rule = f"must not exceed {kind} = {most} of the order limit {limit.name}"
    return ProblemError(ErrorCode.AMOUNT_LIMIT, detail, errors=[FieldError(field="amount", rule=rule)])


def _number_reused(reused: NumberReusedError) -> ProblemError:
    """Return the error for another order with the same number. It reveals nothing of the accepted order."""
    detail = (
        f"this requestUniqueNo belongs to an order that differs in {', '.join(reused.fields)}. This request was "
        "rejected; that settlement is unchanged, and its decision, at Location, is the valid one for this number."
    )
    errors = [
        FieldError(field=field, rule="differs from the order accepted under this number") for field in reused.fields
    ]
    headers = {"Location": location(reused.accepted.settlement_id)}
    return ProblemError(ErrorCode.NUMBER_REUSED, detail, errors=errors, headers=headers)


def _number_taken() -> ProblemError:
    """Return the error for a number that belongs to an order outside the scope of the caller.

    Numbers are unique at each external system, so the caller must learn that this one is taken, but nothing else.
    """
    detail = "this requestUniqueNo is taken; nothing was accepted; post the order under another number"
    rule = "must not be in use"
    return ProblemError(ErrorCode.NUMBER_TAKEN, detail, errors=[FieldError(field="requestUniqueNo", rule=rule)])


async def _decide(services: Services, accepted: SettlementRecord, wait_s: float, *, is_new: bool) -> Snapshot:
    """Start the settlement and return its snapshot, decided if the decision is made within the wait."""
    taken_up = take_up_if_stale(accepted.settlement, accepted.snapshot, datetime.now(UTC))
    if wait_s == 0:
        await start(services.temporal, accepted.settlement, taken_up)
        return accepted.snapshot
    if services.decisions is not None and is_new and taken_up is None:
        decided = await start_here(services.temporal, services.decisions, accepted.settlement, wait_s)
    else:
        decided = await start_and_decide(services.temporal, accepted.settlement, taken_up, wait_s)
    return await _read_again(services, accepted) if decided is None else decided


async def _read_again(services: Services, accepted: SettlementRecord) -> Snapshot:
    """Return the newest snapshot. The settlement has started, so an unreachable ledger is not an error."""
    try:
        async with asyncio.timeout(LEDGER_LIMIT_S):
            found = await services.ledger.find(accepted.settlement_id)
    except (SQLAlchemyError, OSError) as error:
        log.warning("newest state not read", settlement=str(accepted.settlement_id), error=type(error).__name__)
        return accepted.snapshot
    return found.snapshot if found is not None else accepted.snapshot


def _describe(
    response: Response, settlement_id: SettlementId, snapshot: Snapshot, *, is_new: bool, wait_s: int
) -> None:
    response.headers["Location"] = location(settlement_id)
    if wait_s:
        response.headers["Preference-Applied"] = f"wait={wait_s}"
    if snapshot.decision is None:
        response.headers["Retry-After"] = str(POLL_AFTER_S)
    if not is_new:
        response.headers["Idempotent-Replayed"] = "true"
        response.status_code = HTTPStatus.OK
    elif snapshot.decision is not None:
        response.status_code = HTTPStatus.CREATED
