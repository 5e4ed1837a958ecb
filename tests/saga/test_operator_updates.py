"""An operator's Update is accepted with the API's signature; without one only where that is permitted."""

from collections.abc import Awaitable, Callable

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from settlement.ids import APPROVE_UPDATE, PROPOSE_UPDATE, RESOLVE_UPDATE, RETRY_UPDATE
from settlement.snapshot import ActionKind, OperatorRequest, UpdateSignature
from settlement.states import State
from settlement.tasks import UpdateRefusal
from settlement.update_signature import UpdateSigner
from tests.saga.conftest import StartSaga
from tests.support.sagas import SIGNER, Saga
from tests.support.scripted import REVERSED, UNKNOWN, ScriptedExternalSystem
from tests.support.story_acts import ATTEMPTS, FAILED, RESOLVE, RETRY, aborted

KEY_ID = "0123456789abcdef"
SIGNED_RETRY = RETRY.model_copy(update={"operator": "ops", "key_id": KEY_ID})
UNVERIFIED = f"temporal-ui, unverified (says {RETRY.operator})"
OTHER_KEY = UpdateSigner(b"the key of another installation, 32 bytes")


def aborting(rounds: int = 1) -> ScriptedExternalSystem:
    """Return an external system that reverses the adjust only after these rounds of cancels."""
    return ScriptedExternalSystem(adjust=UNKNOWN, cancels=[*[FAILED] * ATTEMPTS * rounds, REVERSED])


async def refusal(sent: Awaitable[object]) -> ApplicationError:
    """Return the error with which a workflow refuses an Update."""
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await sent
    assert isinstance(refused.value.cause, ApplicationError)
    return refused.value.cause


async def test_signed_update_is_recorded_under_client_and_key(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    async with saga(aborting()) as started:
        await aborted(environment, started)
        await started.act(RETRY_UPDATE, SIGNED_RETRY)
        snapshot = await started.result()
    assert [(act.kind, act.operator, act.key_id) for act in snapshot.actions] == [
        (ActionKind.RETRY_CANCEL_ADJUST, "ops", KEY_ID)
    ]


async def test_update_without_signature_is_recorded_as_unverified(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    async with saga(aborting()) as started:
        await aborted(environment, started)
        await started.handle.execute_update(RETRY_UPDATE, RETRY)
        snapshot = await started.result()
    assert [(act.operator, act.key_id) for act in snapshot.actions] == [(UNVERIFIED, None)]


@pytest.mark.parametrize("field", ["key_id", "batch_id"])
async def test_update_without_signature_cannot_claim_a_key_or_a_batch(
    saga: StartSaga, environment: WorkflowEnvironment, field: str
) -> None:
    claimed = RETRY.model_copy(update={field: KEY_ID})
    async with saga(aborting()) as started:
        await aborted(environment, started)
        refused = await refusal(started.handle.execute_update(RETRY_UPDATE, claimed))
        await started.act(RETRY_UPDATE, SIGNED_RETRY)
        await started.result()
    assert refused.type == UpdateRefusal.INVALID_REQUEST


async def test_update_without_signature_is_refused_if_ui_acts_are_off(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    async with saga(aborting(), ui_acts=False) as started:
        await aborted(environment, started)
        refused = await refusal(started.handle.execute_update(RETRY_UPDATE, RETRY))
        await started.act(RETRY_UPDATE, SIGNED_RETRY)
        snapshot = await started.result()
    assert refused.type == UpdateRefusal.UNVERIFIED
    assert "SETTLEMENT_UI_ACTS=off" in refused.message
    assert "use the command settlement or the API" in refused.message
    assert len(snapshot.actions) == 1


def _of_another_settlement(saga: Saga) -> OperatorRequest:
    return SIGNER.sign(saga.handle.id + "-2", RETRY_UPDATE, 0, SIGNED_RETRY)


def _of_another_update(saga: Saga) -> OperatorRequest:
    return SIGNER.sign(saga.handle.id, RESOLVE_UPDATE, 0, SIGNED_RETRY)


def _of_another_key(saga: Saga) -> OperatorRequest:
    return OTHER_KEY.sign(saga.handle.id, RETRY_UPDATE, 0, SIGNED_RETRY)


def _with_another_operator(saga: Saga) -> OperatorRequest:
    return SIGNER.sign(saga.handle.id, RETRY_UPDATE, 0, SIGNED_RETRY).model_copy(update={"operator": "boss"})


def _with_another_key_id(saga: Saga) -> OperatorRequest:
    return SIGNER.sign(saga.handle.id, RETRY_UPDATE, 0, SIGNED_RETRY).model_copy(update={"key_id": "f" * 16})


def _with_another_note(saga: Saga) -> OperatorRequest:
    return SIGNER.sign(saga.handle.id, RETRY_UPDATE, 0, SIGNED_RETRY).model_copy(update={"note": "changed"})


def _with_garbage(_: Saga) -> OperatorRequest:
    return SIGNED_RETRY.model_copy(update={"signature": UpdateSignature(earlier_actions=0, value="ü\0")})


def _with_another_moment(saga: Saga) -> OperatorRequest:
    """Return a request whose number of earlier actions was changed to fit."""
    signed = SIGNER.sign(saga.handle.id, RETRY_UPDATE, 5, SIGNED_RETRY)
    assert signed.signature is not None
    return signed.model_copy(update={"signature": signed.signature.model_copy(update={"earlier_actions": 0})})


@pytest.mark.parametrize(
    "forged",
    [
        _of_another_settlement,
        _of_another_update,
        _of_another_key,
        _with_another_operator,
        _with_another_key_id,
        _with_another_note,
        _with_garbage,
        _with_another_moment,
    ],
)
async def test_wrong_signature_is_refused_although_ui_acts_are_on(
    saga: StartSaga, environment: WorkflowEnvironment, forged: Callable[[Saga], OperatorRequest]
) -> None:
    async with saga(aborting()) as started:
        await aborted(environment, started)
        refused = await refusal(started.handle.execute_update(RETRY_UPDATE, forged(started)))
        assert (await started.snapshot()).state is State.ABORTED
        await started.act(RETRY_UPDATE, SIGNED_RETRY)
        snapshot = await started.result()
    assert refused.type == UpdateRefusal.FORGED
    assert len(snapshot.actions) == 1


async def test_copy_of_an_earlier_update_is_refused_when_the_settlement_is_aborted_again(
    saga: StartSaga, environment: WorkflowEnvironment
) -> None:
    """Whoever can read a history must not be able to repeat what it contains."""
    async with saga(aborting(rounds=2)) as started:
        await aborted(environment, started)
        copy = SIGNER.sign(started.handle.id, RETRY_UPDATE, 0, SIGNED_RETRY)
        await started.handle.execute_update(RETRY_UPDATE, copy)
        await aborted(environment, started)
        refused = await refusal(started.handle.execute_update(RETRY_UPDATE, copy))
        await started.act(RETRY_UPDATE, SIGNED_RETRY)
        snapshot = await started.result()
    assert (refused.type, list(refused.details)) == (UpdateRefusal.STALE, [1])
    assert len(snapshot.actions) == 2


@pytest.mark.parametrize("update", [PROPOSE_UPDATE, APPROVE_UPDATE])
async def test_below_the_four_eyes_amount_nothing_is_proposed(
    saga: StartSaga, environment: WorkflowEnvironment, update: str
) -> None:
    request = RESOLVE if update == PROPOSE_UPDATE else OperatorRequest(operator="ops", note="seen", proposal_no=0)
    async with saga(aborting()) as started:
        await aborted(environment, started)
        refused = await refusal(started.act(update, request))
        await started.act(RESOLVE_UPDATE, RESOLVE)
        snapshot = await started.result()
    assert refused.type == (UpdateRefusal.FOUR_EYES if update == PROPOSE_UPDATE else UpdateRefusal.WRONG_STATE)
    assert [(act.kind, act.operator) for act in snapshot.actions] == [(ActionKind.RESOLVE, RESOLVE.operator)]
