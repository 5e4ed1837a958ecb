"""The settlement resource: how it is built, found and linked."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Path, Query

from api.http.access import Caller
from api.http.problems import ProblemError
from api.services import Services
from contract.fields import is_unique_no
from contract.path_segments import number_in, segment_of
from ledger import SettlementRecord
from schemas.problems import ErrorCode
from schemas.settlement import Settlement, broker_message
from settlement.calls import Rule
from settlement.ids import SettlementId, workflow_id
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.states import State
from settlement.system_names import SystemName

SETTLEMENTS = "/v1/settlements"

_PATH_DESCRIPTION = (
    "The settlement's number, percent-encoded, also a slash (`%2F`). The numbers `.` and `..` are written `%7F.` and "
    "`%7F..`, because clients remove dot segments from paths."
)


_SYSTEM_DESCRIPTION = (
    "The settlement's external system. Needed only if several settlements in the scope of the key have this number."
)


@dataclass(frozen=True)
class NamedSettlement:
    """A settlement as a request names it: by its number, and by its external system if the caller gives it."""

    number: str
    system: str | None


async def _named_settlement(
    request_unique_no: Annotated[str, Path(alias="requestUniqueNo", description=_PATH_DESCRIPTION)],
    system: Annotated[SystemName | None, Query(description=_SYSTEM_DESCRIPTION)] = None,
) -> NamedSettlement:
    """Return the settlement that path and query name. Rejects malformed numbers with 404 before any query."""
    number = number_in(request_unique_no)
    if not is_unique_no(number):
        raise not_found(number)
    return NamedSettlement(number, system)


SettlementInPath = Annotated[NamedSettlement, Depends(_named_settlement)]
NOT_IDENTIFIED = (ErrorCode.NOT_FOUND, ErrorCode.NUMBER_AMBIGUOUS)
"""Errors of every operation on one settlement."""


def not_found(number: str) -> ProblemError:
    """Return the error for a number that was never accepted, or not in the scope of the caller."""
    return ProblemError(ErrorCode.NOT_FOUND, f"no settlement has the requestUniqueNo {number[:64]!r}")


async def identify(services: Services, named: NamedSettlement, caller: Caller) -> SettlementId:
    """Return the id of a settlement that a request names.

    Raises ProblemError NOT_FOUND if no settlement in the scope has the number, and NUMBER_AMBIGUOUS if several have it.
    If the request names the system, the settlement may not exist.
    """
    if named.system is not None:
        return SettlementId(named.system, named.number)
    found = await services.ledger.with_number(named.number, caller.scope)
    if not found:
        raise not_found(named.number)
    if len(found) > 1:
        systems = ", ".join(each.system for each in found)
        detail = (
            f"several settlements have the requestUniqueNo {named.number!r}, at the external systems {systems}; "
            "name the one that is meant with system"
        )
        raise ProblemError(ErrorCode.NUMBER_AMBIGUOUS, detail)
    return found[0]


async def find_or_404(services: Services, named: NamedSettlement, caller: Caller) -> SettlementRecord:
    """Return the settlement from the ledger. Raises ProblemError NOT_FOUND, also if it is outside the caller's scope.

    Both answers are equal, so that a caller cannot tell whether another client uses a number. Raises ProblemError
    NUMBER_AMBIGUOUS as `identify` does.
    """
    found = await services.ledger.find(await identify(services, named, caller), caller.scope)
    if found is None:
        raise not_found(named.number)
    return found


def location(settlement_id: SettlementId) -> str:
    """Return the path of a settlement, with its system, so that it is never ambiguous."""
    return f"{SETTLEMENTS}/{segment_of(settlement_id.number)}?system={settlement_id.system}"


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
        temporal_ui_url=temporal_ui_url(services, workflow_id(settlement.settlement_id)),
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
    return f"{base.rstrip('/')}/namespaces/{services.temporal.namespace}/workflows/{quote(workflow, safe=':')}"
