"""What the first schema held is still there, under today's names, after the migration."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Ledger, SettlementRecord
from ledger.migrate import alembic_config, migrate
from settlement.start import SettlementInput
from settlement.states import State
from tests.ledger.conftest import OpenEngine
from tests.support.orders import settlement

SETTLEMENT = text(
    "INSERT INTO settlements (request_unique_no, fingerprint, input, order_id, user_name, company_id, currency, "
    "accepted_at, version, state, decision, reason, decided_at, updated_at) VALUES (:number, 'f', :input, 1, 'u', 7, "
    "'USD', :at, 4, :state, 'VOID', 'why', :at, :at)"
)
CALL = text(
    "INSERT INTO external_calls (settlement_no, position, operation, request_unique_no, round, attempt, sent_at, "
    "outcome, rule, detail) VALUES (:number, :position, 'ADJUST', :number, 0, 1, :at, :outcome, :rule, '')"
)
ACT = text(
    "INSERT INTO operator_actions (settlement_no, position, kind, operator, reason, evidence, at) "
    "VALUES (:number, 0, 'RESOLVE', 'ops-1', 'by hand', 'ticket 17', :at)"
)


@pytest.fixture
def old_engine(empty_url: str, open_one: OpenEngine) -> AsyncEngine:
    """Open a database that has seen nothing yet."""
    return open_one(empty_url)


async def first_schema(engine: AsyncEngine) -> None:
    """Bring a database to the first schema, as it was released."""
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(alembic_config(sync), "0001"))


def write(connection: Connection, order: SettlementInput, state: State, *outcomes: tuple[str, str]) -> None:
    """Write a settlement and its calls as the first release did."""
    number = order.adjust.requestUniqueNo
    common: dict[str, Any] = {"number": number, "at": datetime(2026, 1, 5, tzinfo=UTC)}
    if connection.dialect.name == "sqlite":
        common["at"] = "2026-01-05 00:00:00.000000"
    connection.execute(SETTLEMENT, common | {"state": state, "input": json.dumps(order.model_dump(mode="json"))})
    for position, (outcome, rule) in enumerate(outcomes):
        connection.execute(CALL, common | {"position": position, "outcome": outcome, "rule": rule})
    connection.execute(ACT, common)


async def carried_over(engine: AsyncEngine, state: State, *outcomes: tuple[str, str]) -> tuple[SettlementRecord, Any]:
    """Write under the first schema, migrate, and return what is read, and the new columns."""
    order = settlement(amount="0.10")
    await first_schema(engine)
    async with engine.begin() as connection:
        await connection.run_sync(write, order, state, *outcomes)
    await migrate(engine)
    found = await Ledger(engine).find(order.adjust.requestUniqueNo)
    assert found is not None
    async with engine.connect() as connection:
        row = (await connection.execute(text("SELECT amount, in_doubt, last_rule FROM settlements"))).one()
    return found, row


async def test_acts_amounts_and_states_are_kept(old_engine: AsyncEngine) -> None:
    found, row = await carried_over(old_engine, State.RESOLVED, ("UNKNOWN", "DEADLINE"), ("UNKNOWN", "HTTP_STATUS"))
    (act,) = found.snapshot.actions
    assert (act.operator, act.note, act.broker_reference, act.reason_code) == ("ops-1", "by hand", "ticket 17", None)
    assert [(each.state, each.reason) for each in found.snapshot.state_changes] == [(State.RESOLVED, "why")]
    assert (row.amount, bool(row.in_doubt), row.last_rule) == ("0.10", False, "HTTP_STATUS")
    assert found.snapshot.cancel_intents == ()


@pytest.mark.parametrize(
    ("state", "outcome", "in_doubt"),
    [
        (State.ABORTED, "REJECTED", True),
        (State.CANCELLING, "UNKNOWN", True),
        (State.CANCELLING, "REJECTED", False),
        (State.CANCELLED, "UNKNOWN", False),
    ],
)
async def test_what_was_in_doubt_is_counted(
    old_engine: AsyncEngine, state: State, outcome: str, *, in_doubt: bool
) -> None:
    _, row = await carried_over(old_engine, state, (outcome, "DEADLINE"))
    assert bool(row.in_doubt) is in_doubt


async def test_what_had_not_begun_has_no_changes(old_engine: AsyncEngine) -> None:
    found, row = await carried_over(old_engine, State.ADJUSTING)
    assert (found.snapshot.state_changes, row.last_rule) == ((), None)
