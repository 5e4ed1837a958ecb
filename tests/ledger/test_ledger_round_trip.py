"""Every value is read back exactly as written: texts by character, times by microsecond."""

from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import AsyncEngine

from contract.fields import INT64_MAX, INT64_MIN
from ledger import Ledger
from ledger.tables import settlements
from settlement.calls import Rule, Verdict
from settlement.reply_record import ReplyRecord
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.states import Outcome
from tests.ledger.conftest import OpenEngine
from tests.ledger.samples import EAST, NOON, accepted, act, call, resolved
from tests.support.orders import settlement
from tests.support.tampering import unguarded

NAIVE = datetime(2026, 1, 5, 12)  # noqa: DTZ001 - the point of the test


async def written_and_read(
    ledger: Ledger, order: SettlementInput, snapshot: Snapshot
) -> tuple[SettlementInput, Snapshot]:
    """Record a snapshot and read it."""
    await ledger.record(order, snapshot)
    found = await ledger.find(order.settlement_id)
    assert found is not None
    return found.settlement, found.snapshot


async def test_every_field_of_a_settlement_is_read_back(ledger: Ledger) -> None:
    order = settlement(accepted_at=NOON.astimezone(EAST), metadata='{"note": "结算 🧾"}', userName="☂" * 48)
    assert await written_and_read(ledger, order, resolved(7)) == (order, resolved(7))


async def test_searchable_values_have_their_own_columns(ledger: Ledger, engine: AsyncEngine) -> None:
    order = settlement(userName="结算-7", orderId=INT64_MAX, currency="JPY", accepted_at=NOON.astimezone(EAST))
    await ledger.record(order, resolved(7))
    async with engine.connect() as connection:
        row = (await connection.execute(select(settlements))).one()
    assert (row.request_unique_no, row.order_id, row.user_name) == (order.adjust.requestUniqueNo, INT64_MAX, "结算-7")
    assert (row.company_id, row.currency, row.accepted_at) == (order.company_id, "JPY", NOON)
    assert (row.version, row.state, row.decision, row.cancel_result) == (7, "RESOLVED", "VOID", "NOT_APPLIED")


async def test_absent_fields_are_read_back_as_absent(ledger: Ledger) -> None:
    order = settlement().model_copy(update={"company_id": None})
    bare = accepted(version=1, reason="", calls=(call(),), actions=(act(),))
    assert await written_and_read(ledger, order, bare) == (order, bare)


async def test_an_amount_is_read_back_character_by_character(ledger: Ledger) -> None:
    for amount in ("12.50", "0.100000000000000000", "-3", "1" * 21 + "." + "9" * 18, "100", "-0.000"):
        back, _ = await written_and_read(ledger, settlement(amount=amount), accepted())
        assert back.adjust.amount == amount


async def test_order_and_company_ids_can_be_any_64_bit_number(ledger: Ledger) -> None:
    for number in (INT64_MIN, -1, 0, 2**53 + 1, INT64_MAX):
        order = settlement(orderId=number).model_copy(update={"company_id": number})
        back, _ = await written_and_read(ledger, order, accepted())
        assert (back.adjust.orderId, back.company_id) == (number, number)


async def test_a_number_can_be_any_48_characters(ledger: Ledger) -> None:
    """Similar numbers are different, for example with a composed and a decomposed accented letter."""
    odd = ["'; DROP TABLE settlements; --", "%s :name ?1 {0} \\", " leading and trailing ", "\u00e9", "e\u0301"]
    orders = [settlement(requestUniqueNo=number) for number in ("n" * 48, "🧾" * 48, *odd)]
    for version, order in enumerate(orders):
        assert await written_and_read(ledger, order, resolved(version)) == (order, resolved(version))


async def test_a_time_in_any_zone_is_read_back_as_the_same_time(ledger: Ledger) -> None:
    for offset_min in (-14 * 60, -1, 0, 345, 14 * 60):
        moment = NOON.astimezone(timezone(timedelta(minutes=offset_min)))
        order = settlement(accepted_at=moment)
        snapshot = accepted(version=1, updated_at=moment, decided_at=moment, calls=(call(sent_at=moment),))
        back, snapshot_back = await written_and_read(ledger, order, snapshot)
        assert back.accepted_at == snapshot_back.decided_at == snapshot_back.calls[0].sent_at == NOON
        assert snapshot_back.updated_at.utcoffset() == timedelta(0)


async def test_times_are_independent_of_the_servers_time_zone(postgresql_url: str, open_one: OpenEngine) -> None:
    engine = open_one(postgresql_url)
    async with engine.begin() as connection:
        await connection.execute(text(f'ALTER DATABASE "{engine.url.database}" SET timezone = -5'))
    await engine.dispose()
    order = settlement()
    assert await written_and_read(Ledger(engine), order, resolved(1)) == (order, resolved(1))


async def test_the_order_of_calls_and_actions_is_kept(ledger: Ledger, engine: AsyncEngine) -> None:
    """It is the order of positions only: clocks go back, attempts count from 1 again, rows are rewritten."""
    calls = tuple(call(attempt % 3, sent_at=NOON - timedelta(seconds=attempt)) for attempt in range(25))
    acts = tuple(act(at=NOON - timedelta(seconds=index), note=f"act {index}") for index in range(12))
    order, snapshot = settlement(), resolved(1, calls=calls, actions=acts)
    await ledger.record(order, snapshot)
    async with unguarded(engine) as connection:
        for table in ("external_calls", "operator_actions"):
            await connection.execute(text(f"UPDATE {table} SET position = position WHERE position < 7"))  # noqa: S608 - fixed names
        await connection.execute(text("ANALYZE"))
    found = await ledger.find(order.settlement_id)
    assert found is not None
    assert found.snapshot == snapshot


async def test_a_time_without_a_zone_is_rejected_and_nothing_is_written(ledger: Ledger) -> None:
    naive: list[tuple[SettlementInput, Snapshot]] = [
        (settlement(accepted_at=NAIVE), accepted(version=1)),
        (settlement(), accepted(version=1, updated_at=NAIVE)),
        (settlement(), accepted(version=1, decided_at=NAIVE)),
        (settlement(), accepted(version=1, calls=(call(), call(sent_at=NAIVE)))),
        (settlement(), accepted(version=1, actions=(act(), act(at=NAIVE)))),
    ]
    for order, snapshot in naive:
        with pytest.raises(StatementError, match="the time has no time zone"):
            await ledger.record(order, snapshot)
        assert await ledger.find(order.settlement_id) is None


async def test_a_nul_character_in_a_text_is_replaced(ledger: Ledger) -> None:
    """JSON can contain NUL, so an operator's note can too. PostgreSQL cannot store it."""
    _, back = await written_and_read(ledger, settlement(), with_text("\0a\0"))
    assert back == with_text("\N{REPLACEMENT CHARACTER}a\N{REPLACEMENT CHARACTER}")


def with_text(text: str) -> Snapshot:
    """Return a snapshot with this text in each free-text field."""
    reply = ReplyRecord(biz_code=text, code=text, msg=text, trace=text, msg_params=text, data=text)
    verdict = Verdict(outcome=Outcome.UNKNOWN, rule=Rule.UNREADABLE, detail=text, reply=reply)
    return accepted(
        version=1,
        reason=text,
        calls=(call(verdict=verdict),),
        actions=(act(operator=text, note=text, broker_reference=text),),
    )


async def test_a_long_audit_is_written_in_several_statements(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its 24 columns times 2,800 calls exceed 65,535, the maximum number of parameters of one statement."""
    monkeypatch.setattr("ledger.engine.STATEMENT_TIMEOUT_S", 60)
    long = accepted(version=1, calls=tuple(call(attempt) for attempt in range(2_800)))
    _, back = await written_and_read(ledger, settlement(), long)
    assert back == long
