"""A decision is told to the callers of this process that wait for it, and to nobody else."""

import asyncio

import pytest

from activities.local_decisions import LocalDecisions
from settlement.start import accepted_snapshot
from settlement.states import Decision, State
from tests.support.orders import settlement

ORDER, OTHER = settlement(), settlement()
SETTLED = accepted_snapshot(ORDER).model_copy(
    update={"version": 1, "state": State.SETTLED, "decision": Decision.PROCEED}
)


async def test_every_caller_that_waits_is_told() -> None:
    decisions = LocalDecisions()
    with decisions.expected(ORDER.settlement_id) as first, decisions.expected(ORDER.settlement_id) as second:
        decisions.tell(ORDER.settlement_id, SETTLED)
        decisions.tell(ORDER.settlement_id, SETTLED)
        assert (await first, await second) == (SETTLED, SETTLED)


async def test_the_decision_of_another_settlement_is_not_told() -> None:
    decisions = LocalDecisions()
    with decisions.expected(ORDER.settlement_id) as told:
        decisions.tell(OTHER.settlement_id, SETTLED)
        assert not told.done()


async def test_nothing_is_kept_of_callers_that_gave_up() -> None:
    decisions = LocalDecisions()
    with pytest.raises(TimeoutError), decisions.expected(ORDER.settlement_id) as told:
        await asyncio.wait_for(asyncio.shield(told), 0)
    assert decisions.expected_count == 0
    decisions.tell(ORDER.settlement_id, SETTLED)
