"""Security events: an act and its event are one transaction; a repeated act has no second event."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from api.keys.refused import RefusedKeys
from ledger import KeyRing, SecurityEvents, SystemPauses
from ledger.audit.anchors import make_anchor
from ledger.audit.verification import Verification
from ledger.security_event_tables import security_events
from settlement.keys import ApiKey, Role
from settlement.security_events import SecurityEventKind
from tests.ledger.samples import NOON
from tests.support.polling import until
from tests.support.tampering import unguarded

KEY = ApiKey(key_id="k-1", client="shop-1", role=Role.VIEWER, companies="all", created_at=NOON, created_by="boss")


async def test_keys_and_pauses_have_events_and_repeats_have_none(engine: AsyncEngine) -> None:
    ring, pauses, events = KeyRing(engine), SystemPauses(engine), SecurityEvents(engine)
    assert await ring.add(KEY, "hash", by_key="k-0")
    for _ in range(2):
        await ring.revoke("k-1", "boss", NOON)
        await pauses.pause("alpha", "ops-1", "broker is down", NOON, key_id="k-2")
    for _ in range(2):
        await pauses.resume("alpha", "ops-2", "broker is back", NOON)
    page = await events.page(None, 50)
    assert [(each.kind.value, each.client, each.key_id, each.subject) for each in reversed(page.items)] == [
        ("KEY_CREATED", "boss", "k-0", "k-1"),
        ("KEY_REVOKED", "boss", None, "k-1"),
        ("SYSTEM_PAUSED", "ops-1", "k-2", "alpha"),
        ("SYSTEM_RESUMED", "ops-2", None, "alpha"),
    ]


async def test_pages_go_on_where_the_last_one_ended(engine: AsyncEngine) -> None:
    events = SecurityEvents(engine)
    for number in range(5):
        await events.add(SecurityEventKind.LIMITS_CHANGED, str(number), NOON, "")
    first = await events.page(None, 3)
    second = await events.page(first.next_before, 3)
    assert [each.subject for each in (*first.items, *second.items)] == ["4", "3", "2", "1", "0"]
    assert second.next_before is None
    assert await events.last_subject(SecurityEventKind.LIMITS_CHANGED) == "4"
    assert await events.last_subject(SecurityEventKind.KEYS_REFUSED) is None


async def test_any_number_of_refused_keys_is_few_events(engine: AsyncEngine) -> None:
    events = SecurityEvents(engine)
    refused = RefusedKeys(events, every_s=3600)
    refused.note("nonsense")

    async def is_written() -> bool:
        return len((await events.page(None, 10)).items) == 1

    await until(is_written)
    for _ in range(1000):
        refused.note("0123456789abcdef." + "A" * 59)
    await refused.close()
    await refused.close()
    page = await events.page(None, 10)
    assert [each.detail for each in page.items] == [
        "1000 requests without a valid key; among them the key ids 0123456789abcdef",
        "1 requests without a valid key",
    ]


async def test_a_changed_event_is_found_and_a_deleted_one_changes_the_anchor(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.audit.anchors.COMPLETE_AFTER", timedelta(days=-2))
    today = datetime.now(UTC)
    for number in range(2):
        await SecurityEvents(engine).add(SecurityEventKind.LIMITS_CHANGED, str(number), today, "")
    assert [step.faults async for step in Verification(engine).events()] == [()]
    anchor = await make_anchor(engine, today.date())
    assert anchor.rows == 2
    async with unguarded(engine) as connection:
        await connection.execute(security_events.delete().where(security_events.c.subject == "0"))
    assert (await make_anchor(engine, today.date())).rows == 1
    async with unguarded(engine) as connection:
        await connection.execute(update(security_events).values(client="somebody"))
    (faults,) = [step.faults async for step in Verification(engine).events()]
    assert [(each.table, each.kind.value) for each in faults] == [("security_events", "changed")]
