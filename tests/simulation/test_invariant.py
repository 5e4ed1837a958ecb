"""Single rules of the invariant, on made-up evidence."""

from datetime import UTC, datetime

import pytest

from settlement.snapshot import ActionKind, OperatorAction, StateChange
from settlement.states import Decision, State
from tests.simulation.evidence import NEVER_RECEIVED, Evidence, SettlementView
from tests.simulation.invariant import violations
from tests.simulation.violation import ViolationKind
from tests.support.orders import settlement

AT = datetime(2026, 1, 5, tzinfo=UTC)
RETRY = OperatorAction(kind=ActionKind.RETRY_CANCEL_ADJUST, at=AT, operator="ops", note="again")
RESOLVE = OperatorAction(kind=ActionKind.RESOLVE, at=AT, operator="ops", note="by hand")
UNSIGNED = OperatorAction(kind=ActionKind.RESOLVE, at=AT, operator="", note="by hand")
TAKE_UP = OperatorAction(kind=ActionKind.TAKE_UP, at=AT, operator="reconciliation", note="terminated")


@pytest.mark.parametrize(
    ("actions", "is_violated"),
    [
        ((RESOLVE,), False),
        ((RETRY, RESOLVE), False),
        ((TAKE_UP, RESOLVE), False),
        ((RESOLVE, TAKE_UP), False),
        ((), True),
        ((RETRY,), True),
        ((TAKE_UP,), True),
        ((RESOLVE, RETRY), True),
        ((UNSIGNED,), True),
    ],
)
def test_a_resolved_settlement_has_an_operator_who_resolved_it(
    actions: tuple[OperatorAction, ...],
    is_violated: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """A take-up after the resolution only writes the end of a workflow that was ended from outside."""
    states = (State.CANCELLING, State.ABORTED, State.RESOLVED)
    view = SettlementView(
        state=State.RESOLVED,
        decision=Decision.VOID,
        cancel_result=None,
        calls=(),
        actions=actions,
        state_changes=tuple(StateChange(state=state, at=AT, reason="") for state in states),
    )
    found = violations(Evidence(settlement(), {"ledger": view}, NEVER_RECEIVED, [], frozenset({State.RESOLVED})))
    assert (ViolationKind.RESOLVED_WITHOUT_ACTION in {each.name for each in found}) is is_violated
