"""Shared by the tests of batches: rows of aborted settlements, and a batch over them."""

from datetime import timedelta
from typing import Any

from ledger import Batches
from ledger.rows import settlement_values
from settlement.batch_retry import BatchRetryRequest, BatchSelection
from settlement.calls import Rule
from settlement.operator_rules import RetryReason
from settlement.snapshot import Snapshot
from settlement.states import State
from tests.ledger.samples import NOON, Fields
from tests.support.orders import new_number, settlement

COMPANY = 4711
OF_COMPANY = BatchSelection(company_id=COMPANY)
LATER = NOON + timedelta(hours=1)


def settlement_row(second: float = 0, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any column
    """Return the row of a settlement of the company, ABORTED by default."""
    order = settlement(accepted_at=NOON + timedelta(seconds=second), requestUniqueNo=new_number())
    snapshot = Snapshot(version=4, state=State.ABORTED, updated_at=NOON)
    return settlement_values(order, snapshot) | {"company_id": COMPANY, "last_rule": Rule.DEADLINE.value} | fields


def batch_request(count: int, selection: BatchSelection = OF_COMPANY, **fields: Any) -> BatchRetryRequest:  # noqa: ANN401 - passed on as it is
    least: Fields = {"reason_code": RetryReason.BROKER_RECOVERED, "note": "broker is back", "rate_per_s": 2.5}
    return BatchRetryRequest(selection=selection, expected_count=count, **least | fields)


async def created_batch(batches: Batches, count: int, **fields: Any) -> str:  # noqa: ANN401 - passed on as it is
    """Create a batch of this many settlements and return its id."""
    return (await batches.create(batch_request(count, **fields), "ops-1", NOON)).batch_id
