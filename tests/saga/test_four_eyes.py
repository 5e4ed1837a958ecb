"""Above the four-eyes amount one operator proposes a resolution and an operator of another client approves it."""

import pytest
from temporalio.testing import WorkflowEnvironment

from settlement.ids import APPROVE_UPDATE, PROPOSE_UPDATE, RESOLVE_UPDATE, RETRY_UPDATE, WITHDRAW_UPDATE
from settlement.snapshot import ActionKind, OperatorRequest
from settlement.start import SettlementInput
from settlement.states import State
from settlement.tasks import UpdateRefusal
from tests.saga.conftest import StartSaga
from tests.saga.test_operator_updates import aborting, refusal
from tests.support.orders import settlement
from tests.support.story_acts import RESOLVE, RETRY, aborted

FIRST, SECOND = (RESOLVE.model_copy(update={"operator": name}) for name in ("first", "second"))


def large() -> SettlementInput:
    """Return an order one cent above its four-eyes amount."""
    return settlement(amount="12.51").model_copy(update={"four_eyes_above": "12.5"})


def on_proposal(operator: str, number: int = 0) -> OperatorRequest:
    """Return a request of an operator that approves or withdraws a proposal."""
    return OperatorRequest(operator=operator, note="I have seen the statement", proposal_no=number)


async def test_second_client_approves_what_the_first_one_proposed(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    external = aborting()
    async with saga(external, large()) as started:
        await aborted(environment, started)
        proposed = await started.act(PROPOSE_UPDATE, FIRST)
        waiting = await started.snapshot()
        await started.act(APPROVE_UPDATE, on_proposal("second"))
        snapshot = await started.result()
    assert (proposed.state, waiting.state, snapshot.state) == (State.ABORTED, State.ABORTED, State.RESOLVED)
    assert [(act.kind, act.operator, act.proposal_no) for act in snapshot.actions] == [
        (ActionKind.PROPOSE_RESOLUTION, "first", None),
        (ActionKind.APPROVE_RESOLUTION, "second", 0),
    ]
    assert waiting.proposal == snapshot.proposal
    assert snapshot.proposal is not None
    assert snapshot.proposal.broker_reference == RESOLVE.broker_reference
    assert external.cancel_numbers[1:] == external.cancel_numbers[:-1], "nothing new is sent"


async def test_same_client_cannot_approve_not_even_with_another_key(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    async with saga(aborting(), large()) as started:
        await aborted(environment, started)
        await started.act(PROPOSE_UPDATE, FIRST.model_copy(update={"key_id": "a" * 16}))
        other_key = on_proposal("first").model_copy(update={"key_id": "b" * 16})
        refused = await refusal(started.act(APPROVE_UPDATE, other_key))
        await started.act(APPROVE_UPDATE, on_proposal("second"))
        await started.result()
    assert refused.type == UpdateRefusal.SAME_OPERATOR


@pytest.mark.parametrize("ui_acts", [True, False])
async def test_no_single_update_resolves_and_no_unsigned_one_does_anything(
    saga: StartSaga, environment: WorkflowEnvironment, *, ui_acts: bool
) -> None:
    async with saga(aborting(), large(), ui_acts=ui_acts) as started:
        await aborted(environment, started)
        signed = await refusal(started.act(RESOLVE_UPDATE, FIRST))
        await started.act(PROPOSE_UPDATE, FIRST)
        requests = {
            RETRY_UPDATE: RETRY,
            RESOLVE_UPDATE: SECOND,
            PROPOSE_UPDATE: SECOND,
            APPROVE_UPDATE: on_proposal("second"),
            WITHDRAW_UPDATE: on_proposal("second"),
        }
        unsigned = [await refusal(started.handle.execute_update(*each)) for each in requests.items()]
        await started.act(APPROVE_UPDATE, on_proposal("second"))
        snapshot = await started.result()
    assert signed.type == UpdateRefusal.FOUR_EYES
    assert {each.type for each in unsigned} == {UpdateRefusal.UNVERIFIED}
    assert len(snapshot.actions) == 2


async def test_replaced_or_withdrawn_proposal_cannot_be_approved(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    """The approval names what the second operator has read."""
    async with saga(aborting(), large()) as started:
        await aborted(environment, started)
        await started.act(PROPOSE_UPDATE, FIRST)
        await started.act(PROPOSE_UPDATE, FIRST.model_copy(update={"broker_reference": "ticket 18"}))
        replaced = await refusal(started.act(APPROVE_UPDATE, on_proposal("second", 0)))
        await started.act(WITHDRAW_UPDATE, on_proposal("second", 1))
        withdrawn = await refusal(started.act(APPROVE_UPDATE, on_proposal("second", 1)))
        await started.act(PROPOSE_UPDATE, FIRST)
        await started.act(APPROVE_UPDATE, on_proposal("second", 3))
        snapshot = await started.result()
    assert {replaced.type, withdrawn.type} == {UpdateRefusal.WRONG_STATE}
    assert "which is 1" in replaced.message
    assert snapshot.actions[-1].proposal_no == 3


async def test_retry_between_proposal_and_approval_clears_the_proposal(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    async with saga(aborting(rounds=2), large()) as started:
        await aborted(environment, started)
        await started.act(PROPOSE_UPDATE, FIRST)
        await started.act(RETRY_UPDATE, RETRY)
        await aborted(environment, started)
        refused = await refusal(started.act(APPROVE_UPDATE, on_proposal("second")))
        await started.handle.cancel()
        snapshot = await started.result()
    assert refused.type == UpdateRefusal.WRONG_STATE
    assert (snapshot.state, snapshot.proposal) == (State.CANCELLED, None)
