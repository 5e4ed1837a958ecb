"""An audit of thousands of calls: histories and payloads stay bounded, nothing is missing, every action is answered.

On a real server. It terminates a workflow at a history of 50 MiB and fails one with a payload above 2 MiB. The
time-skipping server does neither. It can also lose a query or an Update that arrives while a workflow continues as new.
"""

import os

import pytest
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner

from settlement.audit_window import CANCEL_ATTEMPTS_MAX, PAYLOAD_BYTES_MAX
from settlement.ids import APPROVE_UPDATE, PROPOSE_UPDATE
from settlement.policy import ConfirmMode
from settlement.snapshot import ActionKind, OperatorRequest
from settlement.start import SettlementInput, accepted_snapshot
from settlement.states import State
from tests.reconciliation.conftest import Sides
from tests.support.history_sizes import Sizes, sizes_of
from tests.support.ledgers import FlakyLedger
from tests.support.longest import LONGEST_RETRY, LONGEST_SETTLEMENT, LONGEST_VERDICT
from tests.support.orders import QUICK_POLICY, id_of, new_number, settlement
from tests.support.polling import until
from tests.support.sagas import Saga, end_of
from tests.support.scripted import REVERSED, Answer, ScriptedExternalSystem
from tests.support.story_acts import APPROVAL, RESOLVE
from workflows.order_settlement import OrderSettlement

ROUNDS_OF_ONE = int(os.environ.get("AUDIT_ROUNDS", "300"))
"""Rounds of one attempt each in `make prove`; `AUDIT_ROUNDS=2000` makes the 2,000 calls that docs/proof.md quotes."""
SHORTER_THAN_A_ROUND = 12
"""Events of a history. The first task of a run has fewer; with a round it has more."""
PROPOSALS = 12
HISTORY_BYTES_MAX = 50 * 1024 * 1024 // 10
HISTORY_EVENTS_MAX = 51_200 // 10


def longest_order(attempts: int) -> SettlementInput:
    """Return an order with the longest texts, accepted now, with this many cancel attempts per round."""
    policy = QUICK_POLICY.model_copy(
        update={
            "cancel_max_attempts": attempts,
            "cancel_initial_interval_s": 0.001,
            "cancel_max_interval_s": 0.001,
            "cancel_retry_after_max_s": 0,  # the longest verdict has one
            "confirm": ConfirmMode.NEVER,
        }
    )
    accepted = settlement(policy=policy)
    adjust = LONGEST_SETTLEMENT.adjust.model_copy(update={"requestUniqueNo": new_number("long")})
    return LONGEST_SETTLEMENT.model_copy(
        update={"adjust": adjust, "accepted_at": accepted.accepted_at, "policy": policy}
    )


async def retry_until_reversed(sides: Sides, accepted: SettlementInput, rounds: int, request: OperatorRequest) -> Sizes:
    """Retry whenever it is ABORTED, round after round; return the resulting sizes."""
    await sides.ledger.accept(accepted, accepted_snapshot(accepted))
    first = await sides.start(accepted)
    for done in range(rounds):
        await aborted_in_round(sides, accepted, done)
        answer = await sides.handle(accepted).execute_update(OrderSettlement.retry_cancel_adjust, request)
        assert answer.state is State.CANCELLING
    await sides.records(accepted, State.CANCELLED)
    await end_of(sides.handle(accepted))
    assert first.first_execution_run_id is not None
    return await sizes_of(sides.temporal, first.id, first.first_execution_run_id)


async def aborted_in_round(sides: Sides, accepted: SettlementInput, round_: int) -> None:
    """Wait until a round has failed, by the ledger's summary: a query would replay the whole history."""
    number = accepted.adjust.requestUniqueNo
    changes = 2 * (round_ + 1)

    async def probe() -> bool:
        events = await sides.ledger.events(id_of(number), changes - 1)
        return events is not None and bool(events.events)

    await until(probe, limit_s=300, what=f"the end of round {round_}")


async def test_a_long_history_continues_as_new_and_loses_nothing(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the long audit in `make prove`, where a history needs 100 rounds to become long."""
    monkeypatch.setattr("workflows.runtime.HISTORY_EVENTS_MAX", SHORTER_THAN_A_ROUND)
    accepted, rounds = longest_order(attempts=1), 2
    external = ScriptedExternalSystem(adjust=LONGEST_VERDICT, cancels=[*[LONGEST_VERDICT] * rounds, REVERSED])
    # The sandbox would load another copy of the module with the limit.
    async with sides.working(external, runner=UnsandboxedWorkflowRunner()):
        sizes = await retry_until_reversed(sides, accepted, rounds, LONGEST_RETRY)
    assert sizes.runs == rounds + 1
    await the_audit_is_complete(sides, accepted, 1, rounds)
    assert len(set(external.cancel_numbers)) == 1


async def propose(saga: Saga, number: int) -> None:
    """Propose, and repeat it after an error, as an operator does.

    Temporal refuses an Update whose workflow task fails. That happens if a continue-as-new meets a new event.
    """

    async def accepted() -> bool:
        try:
            await saga.act(PROPOSE_UPDATE, RESOLVE.model_copy(update={"note": f"proposal {number}"}))
        except RPCError as error:
            if error.status is not RPCStatusCode.FAILED_PRECONDITION:
                raise
            return False
        return True

    await until(accepted)


async def test_proposals_continue_as_new_and_keep_the_last_one(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often operators propose, a history stays bounded."""
    monkeypatch.setattr("workflows.runtime.HISTORY_EVENTS_MAX", SHORTER_THAN_A_ROUND)
    accepted = longest_order(attempts=1).model_copy(update={"four_eyes_above": "0.01"})
    external = ScriptedExternalSystem(adjust=LONGEST_VERDICT, cancels=[LONGEST_VERDICT])
    async with sides.working(external, runner=UnsandboxedWorkflowRunner()):
        saga = Saga(await sides.start(accepted), accepted, external, FlakyLedger(sides.engine))
        await sides.records(accepted, State.ABORTED)
        runs = set()
        for number in range(PROPOSALS):
            runs.add((await saga.handle.describe()).run_id)
            await propose(saga, number)
        await saga.act(APPROVE_UPDATE, APPROVAL.model_copy(update={"proposal_no": PROPOSALS - 1}))
        snapshot = await saga.result()
    assert len(runs) > 1
    assert snapshot.proposal is not None
    assert (snapshot.proposal.proposal_no, snapshot.proposal.note) == (PROPOSALS - 1, f"proposal {PROPOSALS - 1}")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("attempts", "rounds"),
    [
        pytest.param(1, ROUNDS_OF_ONE, marks=pytest.mark.prove("audit")),
        (CANCEL_ATTEMPTS_MAX, 1),
        pytest.param(CANCEL_ATTEMPTS_MAX, 2, marks=pytest.mark.prove("audit")),
    ],
)
async def test_an_audit_with_the_longest_texts_stays_below_its_part_of_every_limit(
    sides: Sides, capsys: pytest.CaptureFixture[str], attempts: int, rounds: int
) -> None:
    accepted, calls = longest_order(attempts), rounds * attempts
    failing: list[Answer] = [LONGEST_VERDICT] * calls
    external = ScriptedExternalSystem(adjust=LONGEST_VERDICT, cancels=[*failing, REVERSED])
    async with sides.working(external, cached=1):
        sizes = await retry_until_reversed(sides, accepted, rounds, LONGEST_RETRY)
    with capsys.disabled():
        print(f"\n{calls + 2} calls in rounds of {attempts}: {sizes}")  # noqa: T201 - the figures are the proof
    assert sizes.history_bytes_max < HISTORY_BYTES_MAX
    assert sizes.history_events_max < HISTORY_EVENTS_MAX
    assert sizes.payload_bytes_max < PAYLOAD_BYTES_MAX
    assert (sizes.runs > 1) is (calls > 100)
    await the_audit_is_complete(sides, accepted, attempts, rounds)
    assert len(set(external.cancel_numbers)) == 1


async def the_audit_is_complete(sides: Sides, accepted: SettlementInput, attempts: int, rounds: int) -> None:
    recorded = await sides.recorded(accepted)
    assert recorded is not None
    assert recorded.left_out.calls == 0
    assert [call.verdict for call in recorded.calls] == [LONGEST_VERDICT] * (rounds * attempts + 1) + [REVERSED]
    assert [(call.round, call.attempt) for call in recorded.calls[1:]] == [
        *((round_, attempt) for round_ in range(rounds) for attempt in range(1, attempts + 1)),
        (rounds, 1),
    ]
    assert [act.kind for act in recorded.actions] == [ActionKind.RETRY_CANCEL_ADJUST] * rounds
    assert [change.state for change in recorded.state_changes] == [
        *([State.CANCELLING, State.ABORTED] * rounds),
        State.CANCELLING,
        State.CANCELLED,
    ]
