"""Reading one settlement, time zones in queries, and the readiness check."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy.exc import SQLAlchemyError, StatementError

from ledger import Ledger
from tests.ledger.conftest import OpenEngine
from tests.ledger.samples import accepted, growing
from tests.support.orders import id_of, settlement

NAIVE = datetime(2026, 1, 5, 12)  # noqa: DTZ001 - the point of the test
SECOND = timedelta(seconds=1)


async def test_an_unknown_number_has_no_settlement(ledger: Ledger) -> None:
    await ledger.accept(settlement(requestUniqueNo="N-2"), accepted())
    for number in ("N-1", "n-2", "", "n" * 48, "n" * 500, "N%", "' OR 1=1 --", "🧾"):
        assert await ledger.find(id_of(number)) is None


async def test_times_in_queries_need_a_zone(ledger: Ledger) -> None:
    with pytest.raises(StatementError, match="the time has no time zone"):
        await ledger.page(after=(NAIVE, id_of("N-1")), limit=10)


async def test_a_migrated_ledger_is_ready_even_if_empty(ledger: Ledger) -> None:
    await ledger.check()
    await ledger.record(settlement(), growing(2))
    await ledger.check()


async def test_a_database_without_tables_is_not_ready(empty_url: str, open_one: OpenEngine) -> None:
    """It raises the error that the API answers with 503."""
    with pytest.raises(SQLAlchemyError, match="settlements"):
        await Ledger(open_one(empty_url)).check()
