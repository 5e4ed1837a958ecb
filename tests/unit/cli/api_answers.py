"""The data of the fake API, and the responses that carry it."""

from datetime import UTC, datetime, timedelta

from fastapi import Response
from fastapi.responses import JSONResponse

from contract.model import Model
from schemas.settlement import Settlement
from settlement.exposure import Age, CurrencyTotal, Exposure, ExposureLine
from settlement.reconciliation import Finding, FindingKind, FindingStatus
from settlement.snapshot import SettlementEvent
from settlement.states import CancelResult, Decision, State
from tests.support.orders import settlement

ENDED = "ORD-ENDED"
ABORTED = ("ORD-1", "ORD-2", "ORD-3")
COMPANY = 7
T0 = datetime(2026, 1, 5, 3, 10, tzinfo=UTC)
TOTALS = (CurrencyTotal(currency="USD", count=3, amount="37.50"),)


def at(seconds: float) -> datetime:
    """Return the time this many seconds after T0."""
    return T0 + timedelta(seconds=seconds)


def model_response(model: Model, status: int = 200) -> Response:
    """Return a response with the JSON of a model."""
    return Response(model.model_dump_json(), status, media_type="application/json")


def problem(status: int, code: str, detail: str = "the reason") -> Response:
    """Return an error response of the API."""
    body = {"type": f"urn:x:{code}", "title": code.capitalize(), "status": status, "code": code, "detail": detail}
    return JSONResponse(body, status, media_type="application/problem+json")


EXPOSURE = Exposure(
    as_of=at(70),
    totals=TOTALS,
    lines=(
        ExposureLine(
            currency="USD",
            company_id=COMPANY,
            state=State.ABORTED,
            age=Age.UNDER_1_HOUR,
            count=3,
            amount="37.50",
            oldest_accepted_at=T0,
        ),
    ),
)
EVENTS = [
    SettlementEvent(
        system="default", request_unique_no=ENDED, state=state, decision=decision, at=at(second), reason=reason
    )
    for second, (state, decision, reason) in enumerate(
        [
            (State.ADJUSTING, None, "accepted"),
            (State.CANCELLING, Decision.VOID, "no reply within 3 s"),
            (State.CANCELLED, Decision.VOID, "REVERSED"),
        ]
    )
]
FINDINGS = [
    Finding(
        finding_id=number,
        kind=FindingKind.WORKFLOW_STUCK,
        system="default",
        request_unique_no=f"ORD-{number}",
        status=FindingStatus.OPEN if number % 2 else FindingStatus.REPAIRED,
        detail="its workflow task fails",
        found_at=T0,
        last_seen_at=at(60),
        rounds=2,
    )
    for number in range(5, 0, -1)
]


def ended_settlement(number: str) -> Response:
    """Return a response with a settlement that has ended."""
    accepted = settlement(requestUniqueNo=number)
    return model_response(
        Settlement(
            request_unique_no=number,
            state=State.CANCELLED,
            decision=Decision.VOID,
            cancel_result=CancelResult.REVERSED,
            cause=None,
            reason="REVERSED",
            trace=accepted.trace,
            system=accepted.system,
            company_id=COMPANY,
            submitted_by=None,
            accepted_at=T0,
            decided_at=at(1),
            updated_at=at(2),
            order=accepted.adjust,
            broker_message=None,
            calls=(),
            operator_actions=(),
            needs_second_operator=False,
            resolution_proposal=None,
            state_changes=(),
            audit_complete=True,
            temporal_ui_url=None,
        )
    )
