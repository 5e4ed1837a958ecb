"""Property test: any valid snapshot is read back unchanged."""

from hypothesis import HealthCheck, given, settings

from ledger import Ledger
from settlement.snapshot import Snapshot
from tests.ledger.strategies import snapshots
from tests.support.orders import settlement


# One database for all examples of the test; each has a number of its own.
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(snapshot=snapshots)
async def test_any_snapshot_is_read_back_unchanged(ledger: Ledger, snapshot: Snapshot) -> None:
    order = settlement()
    assert await ledger.record(order, snapshot)
    found = await ledger.find(order.settlement_id)
    assert found is not None
    assert (found.settlement, found.snapshot) == (order, snapshot)
