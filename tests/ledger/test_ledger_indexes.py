"""An index leads to whatever is searched for: nothing that is asked again and again reads the whole ledger."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Select, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from contract.states import CancelResult, State
from ledger import SettlementFilter
from ledger.ledger import page_query
from ledger.rows import settlement_values
from ledger.tables import settlements
from tests.ledger.samples import NOON, accepted
from tests.support.orders import settlement

COMMON = {"state": State.SETTLED.value, "order_id": 1, "user_name": "u-1", "company_id": 1, "currency": "USD"}
PLANS: dict[str, tuple[dict[str, Any], dict[str, object]]] = {
    "accepted_at": ({}, {}),
    # Of what has not ended, PostgreSQL may take the index of all that has not.
    "(state|open)": ({"state": State.ABORTED}, {"state": "ABORTED"}),
    "order_id": ({"order_id": 17}, {"order_id": 17}),
    "user_name": ({"user_name": "rare"}, {"user_name": "rare"}),
    "company_id": ({"company_id": 17}, {"company_id": 17}),
    "currency": ({"currency": "ISK"}, {"currency": "ISK"}),
    "cancel_result": ({"cancel_result": CancelResult.REVERSED}, {"cancel_result": "REVERSED"}),
}
"""By the column that its index begins with: a filter, and the values of the few rows that fit."""


@pytest.fixture
async def full(engine: AsyncEngine) -> AsyncEngine:
    """Fill the ledger with many ordinary settlements and a few that each filter looks for."""
    rare = [values for _, values in PLANS.values()] * 5
    rows = [
        settlement_values(settlement(), accepted())
        | COMMON
        | (rare[index // 200] if index % 200 == 0 and index // 200 < len(rare) else {})
        | {"accepted_at": NOON + timedelta(seconds=index)}
        for index in range(8_000)
    ]
    async with engine.begin() as connection:
        for first in range(0, len(rows), 500):
            await connection.execute(insert(settlements), rows[first : first + 500])
        if engine.dialect.name == "postgresql":
            # As it does by itself; SQLite gathers no figures unless it is told to, and nobody tells it.
            await connection.execute(text("ANALYZE"))
    return engine


async def plan(engine: AsyncEngine, query: Select[Any]) -> str:
    """Return how the database would go about it."""
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    sql = str(query.compile(engine.sync_engine, compile_kwargs={"literal_binds": True}))
    async with engine.connect() as connection:
        return "\n".join(str(line[-1]) for line in (await connection.exec_driver_sql(f"{explain} {sql}")).all())


@pytest.mark.parametrize("deep", [False, True], ids=["first page", "deep page"])
async def test_an_index_leads_to_every_filter_and_page(full: AsyncEngine, *, deep: bool) -> None:
    """No list reads all of the ledger to show a page of it: the search begins in the filter's own index."""
    for column, (parts, _) in PLANS.items():
        after = (NOON + timedelta(seconds=100), "N-1") if deep else None
        found = await plan(full, page_query(SettlementFilter(**parts), after).limit(51))
        assert re.search(f"ix_settlements_{column}", found), (column, found)
        assert "Seq Scan" not in found


async def test_an_index_leads_to_what_is_in_doubt(full: AsyncEngine) -> None:
    """What exposure and metrics ask for: a few among all that was ever settled."""
    found = await plan(full, select(func.count()).where(settlements.c.in_doubt))
    assert "ix_settlements_in_doubt" in found
