"""The settlement resource: how it is built, found and linked."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Path

from api.http.access import Caller
from api.http.problems import ProblemError
from api.services import Services
from contract.fields import is_unique_no
from contract.path_segments import number_in, segment_of
from ledger import SettlementRecord
from schemas.problems import ErrorCode
from schemas.settlement import Settlement, broker_message
from settlement.calls import Rule
from settlement.ids import workflow_id
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.states import State

SETTLEMENTS = "/v1/settlements"

_PATH_DESCRIPTION = (
    "The settlement's number, percent-encoded, also a slash (`%2F`). The numbers `.` and `..` are written `%7F.` and "
    "`%7F..`, because clients remove dot segments from paths."
)


def _number_of_path(
    request_unique_no: Annotated[str, Path(alias="requestUniqueNo", description=_PATH_DESCRIPTION)],
) -> str:
    """Return the number in a path. Rejects malformed numbers with 404 before any query."""
    number = number_in(request_unique_no)
    if not is_unique_no(number):
        raise not_found(number)
    return number


NumberInPath = Annotated[str, Depends(_number_of_path)]


def not_found(request_unique_no: str) -> ProblemError:
    """Return the error for a number that was never accepted, or not in the scope of the caller."""
    return ProblemError(ErrorCode.NOT_FOUND, f"no settlement has the requestUniqueNo {request_unique_no[:64]!r}")


async def find_or_404(services: Services, request_unique_no: str, caller: Caller) -> SettlementRecord:
    """Return the settlement from the ledger. Raises ProblemError NOT_FOUND, also if it is outside the caller's scope.

    Both answers are equal, so that a caller cannot tell whether another client uses a number.
    """
    found = await services.ledger.find(request_unique_no, caller.scope)
    if found is None:
        raise not_found(request_unique_no)
    return found


def location(request_unique_no: str) -> str:
    """Return the path of a settlement."""
    return f"{SETTLEMENTS}/{segment_of(request_unique_no)}"


def resource(services: Services, settlement: SettlementInput, snapshot: Snapshot) -> Settlement:
    """Build the resource from the accepted order and the newest snapshot."""
    return Settlement(
        request_unique_no=settlement.adjust.requestUniqueNo,
        state=snapshot.state,
        decision=snapshot.decision,
        cancel_result=snapshot.cancel_result,
        cause=_cause(snapshot),
        reason=snapshot.reason,
        trace=settlement.trace,
        company_id=settlement.company_id,
        submitted_by=settlement.submitted_by,
        system=settlement.system,
        accepted_at=settlement.accepted_at,
        decided_at=snapshot.decided_at,
        updated_at=snapshot.updated_at,
        order=settlement.adjust,
        broker_message=broker_message(snapshot.calls),
        calls=snapshot.calls,
        operator_actions=snapshot.actions,
        needs_second_operator=settlement.needs_second_operator,
        resolution_proposal=snapshot.proposal,
        state_changes=snapshot.state_changes,
        audit_complete=snapshot.is_complete,
        temporal_ui_url=temporal_ui_url(services, workflow_id(settlement.adjust.requestUniqueNo)),
    )


def _cause(snapshot: Snapshot) -> Rule | None:
    if snapshot.state not in {State.CANCELLING, State.ABORTED} or not snapshot.calls:
        return None
    return snapshot.calls[-1].verdict.rule


def temporal_ui_url(services: Services, workflow: str) -> str | None:
    """Return the address of a workflow's page in the Temporal UI; None if SETTLEMENT_TEMPORAL_UI_URL is not set."""
    base = services.settings.temporal_ui_url
    if base is None:
        return None
    return f"{base.rstrip('/')}/namespaces/{services.temporal.namespace}/workflows/{quote(workflow, safe='')}"
