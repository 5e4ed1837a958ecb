"""POST /v1/settlements: accept an order, start its settlement, answer with the decision if it falls in time."""

import asyncio
import uuid
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from api.http.access import Submitter
from api.http.parameters import PlainInt64
from api.http.problems import FieldError, ProblemError, documented
from api.http.strict_body import StrictJsonRoute
from api.metrics import ACCEPTED, DECISION_LATENCY, DECISIONS
from api.services import Injected, Services
from api.settlements.decision import start, start_and_decide, wait_seconds
from api.settlements.resource import SETTLEMENTS, location, resource
from contract.adjust import AdjustRequest
from ledger import NumberReusedError, SettlementRecord
from schemas.problems import ErrorCode
from schemas.settlement import Settlement
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput, accepted_snapshot
from workflows.start import take_up_if_stale

log = structlog.get_logger()
router = APIRouter(route_class=StrictJsonRoute)

POLL_AFTER_S = 1
"""What `Retry-After` says beside a 202: an adjust is decided within little more than its 3 seconds."""
ACCEPT_LIMIT_S = 5.0
"""How long the ledger may take to accept when the caller does not say how long it waits."""
DECIDE_AT_LEAST_S = 0.2
"""What was accepted is started, even if accepting has taken the whole wait."""
LEDGER_LIMIT_S = 0.5
"""For what is only there to answer with the newest state; the settlement itself does not depend on it."""


class SettlementHeaders(BaseModel):
    """The headers of a POST, named as the wire contract names them."""

    trace: str | None = Field(
        default=None,
        max_length=128,
        pattern=r"^[\x21-\x2b\x2d-\x7e]+$",
        description="Identifies the order through every call; made by us if absent. No comma.",
    )
    company_id: PlainInt64 | None = Field(
        default=None,
        alias="companyId",
        description="The broker's company that the order belongs to. It is sent on to the external system; a repeat of "
        "the order must name the same one. A header, not a query parameter.",
        examples=[7],
    )
    prefer: list[str] = Field(
        default=[], description="`wait=N` (RFC 7240): answer with the decision if it falls within N seconds."
    )


@router.post(
    SETTLEMENTS,
    status_code=HTTPStatus.ACCEPTED,
    responses={
        200: {"model": Settlement, "description": "The same request again: its settlement as it stands"},
        201: {"model": Settlement, "description": "Accepted, and decided within the wait"},
        202: {"description": "Accepted; read its state at Location"},
        **documented(
            ErrorCode.VALIDATION_FAILED,
            ErrorCode.MALFORMED_REQUEST,
            ErrorCode.BODY_TOO_LARGE,
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            ErrorCode.NUMBER_REUSED,
            ErrorCode.LEDGER_UNAVAILABLE,
            ErrorCode.TEMPORAL_UNAVAILABLE,
        ),
    },
)
async def post_settlement(
    request: AdjustRequest,
    services: Injected,
    response: Response,
    _: Submitter,
    headers: Annotated[SettlementHeaders, Header()],
) -> Settlement:
    """Settle one order. Repeating it with the same requestUniqueNo is safe and answers for the same settlement.

    A repeat may have another requestTime, ip, trace or spelling of the amount. Another customer, user, currency,
    bizType, operationType, amount, orderId or companyId is another order: refused (409), whatever was accepted stays.

    The order may proceed only on `decision: PROCEED`. After any error the order must not proceed; a 503
    or a broken connection leaves open whether it was accepted, and the same request again tells.
    """
    received_at = datetime.now(UTC)
    settlement = SettlementInput(
        adjust=request.body(),
        trace=headers.trace or uuid.uuid4().hex,
        company_id=headers.company_id,
        accepted_at=received_at,
        policy=services.settings.policy,
    )
    wait_s = wait_seconds(headers.prefer)
    ends_at = asyncio.get_running_loop().time() + (wait_s or ACCEPT_LIMIT_S)
    async with asyncio.timeout_at(ends_at):
        accepted, is_new = await _accept(services, settlement)
    snapshot = accepted.snapshot
    if snapshot.decision is None:
        left_s = max(DECIDE_AT_LEAST_S, ends_at - asyncio.get_running_loop().time())
        snapshot = await _decide(services, accepted, wait_s and left_s)
    if is_new and snapshot.decision is not None:
        DECISION_LATENCY.observe((datetime.now(UTC) - received_at).total_seconds())
        DECISIONS.labels(snapshot.decision).inc()
    _describe(response, accepted.number, snapshot, is_new=is_new, wait_s=wait_s)
    return resource(services, accepted.settlement, snapshot)


async def _accept(services: Services, settlement: SettlementInput) -> tuple[SettlementRecord, bool]:
    """Take the number in the ledger, or find the settlement that has it; another order under it is refused.

    The ledger comes first: it remembers longer than Temporal, and it is where GET looks.
    """
    try:
        accepted, is_new = await services.ledger.accept(settlement, accepted_snapshot(settlement))
    except NumberReusedError as reused:
        raise _number_reused(reused) from reused
    if is_new:
        ACCEPTED.inc()
        log.info("accepted", settlement=accepted.number, trace=settlement.trace, order_id=settlement.adjust.orderId)
    return accepted, is_new


def _number_reused(reused: NumberReusedError) -> ProblemError:
    """Return the refusal of another order under a number; it shows nothing of the order that has the number."""
    detail = (
        f"this requestUniqueNo belongs to an order that differs in {', '.join(reused.fields)}; this request was "
        "refused, and that settlement is untouched. Its decision, at Location, is the valid one for this number."
    )
    errors = [
        FieldError(field=each, rule="differs from the order accepted under this number") for each in reused.fields
    ]
    at = {"Location": location(reused.accepted.number)}
    return ProblemError(ErrorCode.NUMBER_REUSED, detail, errors=errors, headers=at)


async def _decide(services: Services, accepted: SettlementRecord, wait_s: float) -> Snapshot:
    """Start the settlement and return the snapshot to answer with: decided, if it is within the wait."""
    taken_up = take_up_if_stale(accepted.settlement, accepted.snapshot, datetime.now(UTC))
    if wait_s == 0:
        await start(services.temporal, accepted.settlement, taken_up)
        return accepted.snapshot
    decided = await start_and_decide(services.temporal, accepted.settlement, taken_up, wait_s)
    if decided is None:
        return await _read_again(services, accepted)
    await _write_through(services, accepted.settlement, decided)
    return decided


async def _read_again(services: Services, accepted: SettlementRecord) -> Snapshot:
    """Return the newest snapshot there is. The settlement is started: a ledger that is away changes nothing now."""
    try:
        async with asyncio.timeout(LEDGER_LIMIT_S):
            found = await services.ledger.find(accepted.number)
    except (SQLAlchemyError, OSError) as error:
        log.warning("not read again", settlement=accepted.number, error=type(error).__name__)
        return accepted.snapshot
    return found.snapshot if found is not None else accepted.snapshot


async def _write_through(services: Services, settlement: SettlementInput, snapshot: Snapshot) -> None:
    """Let a GET that follows this answer see the same decision. Bounded and best effort.

    The workflow's own write is the durable one; this one only comes earlier.
    """
    try:
        async with asyncio.timeout(LEDGER_LIMIT_S):
            await services.ledger.record(settlement, snapshot)
    except (SQLAlchemyError, OSError) as error:
        log.warning("not written through", settlement=settlement.adjust.requestUniqueNo, error=type(error).__name__)


def _describe(response: Response, number: str, snapshot: Snapshot, *, is_new: bool, wait_s: int) -> None:
    response.headers["Location"] = location(number)
    if wait_s:
        response.headers["Preference-Applied"] = f"wait={wait_s}"
    if snapshot.decision is None:
        response.headers["Retry-After"] = str(POLL_AFTER_S)
    if not is_new:
        response.headers["Idempotent-Replayed"] = "true"
        response.status_code = HTTPStatus.OK
    elif snapshot.decision is not None:
        response.status_code = HTTPStatus.CREATED
