"""The actions of an operator on an aborted settlement: retry cancel adjust, or a resolution.

Above the four-eyes amount a resolution is only proposed, and an operator of another client approves it (ADR 0021).
"""

from http import HTTPStatus

from fastapi import APIRouter, Response

from api.http.access import Actor, Caller
from api.http.problems import BODY_ERRORS, documented
from api.http.strict_body import StrictJsonRoute
from api.services import Injected
from api.settlements.operator_updates import perform_once
from api.settlements.resource import NOT_IDENTIFIED, SETTLEMENTS, SettlementInPath, find_or_404, location
from schemas.problems import ErrorCode
from schemas.settlement import Settlement
from settlement.ids import APPROVE_UPDATE, PROPOSE_UPDATE, RESOLVE_UPDATE, RETRY_UPDATE, WITHDRAW_UPDATE
from settlement.operator_rules import ProposalRequest, ResolveRequest, RetryRequest, operator_request
from settlement.snapshot import OperatorRequest
from settlement.states import State

router = APIRouter(route_class=StrictJsonRoute)

_ERRORS = (
    *NOT_IDENTIFIED,
    ErrorCode.WRONG_STATE,
    *BODY_ERRORS,
    ErrorCode.LEDGER_UNAVAILABLE,
    ErrorCode.TEMPORAL_UNAVAILABLE,
    ErrorCode.WORKERS_UNAVAILABLE,
    ErrorCode.SIGNING_KEYS_DIFFER,
)


@router.post(
    SETTLEMENTS + "/{requestUniqueNo}/cancel-adjust-retries",
    status_code=HTTPStatus.ACCEPTED,
    responses=documented(*_ERRORS),
)
async def post_cancel_adjust_retry(
    named: SettlementInPath, body: RetryRequest, services: Injected, response: Response, caller: Actor
) -> Settlement:
    """Retry cancel adjust of an ABORTED settlement, with the same number and a full round of attempts.

    Repeating the request after the settlement has left ABORTED does nothing and returns its current state. A proposed
    resolution is cleared.
    """
    found = await find_or_404(services, named, caller)
    response.headers["Location"] = location(found.settlement_id)
    return await perform_once(services, found, RETRY_UPDATE, _request(caller, body), response)


@router.post(
    SETTLEMENTS + "/{requestUniqueNo}/resolution",
    status_code=HTTPStatus.OK,
    responses={
        202: {"model": Settlement, "description": "Above the four-eyes amount: proposed, not resolved"},
        **documented(*_ERRORS),
    },
)
async def post_resolution(
    named: SettlementInPath, body: ResolveRequest, services: Injected, response: Response, caller: Actor
) -> Settlement:
    """Close an ABORTED settlement manually, with the evidence that the broker's books are correct.

    If `needsSecondOperator` is true, this only records the resolution as `resolutionProposal` (202). An operator of
    another client approves it. Another resolution replaces the proposal.

    Repeating the request does nothing and returns the current state.
    """
    found = await find_or_404(services, named, caller)
    update = PROPOSE_UPDATE if found.settlement.needs_second_operator else RESOLVE_UPDATE
    answer = await perform_once(services, found, update, _request(caller, body), response)
    if answer.state is State.ABORTED:
        response.status_code = HTTPStatus.ACCEPTED
    return answer


@router.post(
    SETTLEMENTS + "/{requestUniqueNo}/resolution-approvals",
    status_code=HTTPStatus.OK,
    responses=documented(*_ERRORS, ErrorCode.SECOND_OPERATOR_REQUIRED),
)
async def post_resolution_approval(
    named: SettlementInPath, body: ProposalRequest, services: Injected, response: Response, caller: Actor
) -> Settlement:
    """Close an ABORTED settlement as an operator of another client has proposed.

    `proposalNo` names the proposal that the caller has read. If it was replaced, withdrawn or cleared, the answer is
    409. Repeating the request does nothing and returns the current state.
    """
    found = await find_or_404(services, named, caller)
    return await perform_once(services, found, APPROVE_UPDATE, _request(caller, body), response)


@router.post(
    SETTLEMENTS + "/{requestUniqueNo}/resolution-withdrawals",
    status_code=HTTPStatus.OK,
    responses=documented(*_ERRORS),
)
async def post_resolution_withdrawal(
    named: SettlementInPath, body: ProposalRequest, services: Injected, response: Response, caller: Actor
) -> Settlement:
    """Remove the proposed resolution of an ABORTED settlement.

    Any operator may: its own client withdraws it, another client rejects it. Repeating the request does nothing and
    returns the current state.
    """
    found = await find_or_404(services, named, caller)
    return await perform_once(services, found, WITHDRAW_UPDATE, _request(caller, body), response)


def _request(caller: Caller, body: RetryRequest | ResolveRequest | ProposalRequest) -> OperatorRequest:
    return operator_request(caller.client, caller.key_id, body)
