"""API keys in the ledger: a limit on the active keys of a client, stored as hashes, revoked permanently."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import KeyRing, StoredKey
from ledger import keys as api_keys
from settlement.keys import ApiKey, Role
from tests.ledger.conftest import OpenEngine
from tests.ledger.samples import EAST, NOON

AT_ONCE = 24


def key(key_id: str, client: str = "ops-1", role: Role = Role.OPERATOR, created_at: datetime = NOON) -> ApiKey:
    """Return a new key."""
    return ApiKey(key_id=key_id, client=client, role=role, companies=(1, 2), created_at=created_at, created_by="boss")


def fake_hash(key_id: str) -> str:
    """Return a placeholder for a keyed hash: 64 characters, different for each key."""
    return key_id.rjust(64, "0")


async def add(ring: KeyRing, key_id: str, client: str = "ops-1", created_at: datetime = NOON) -> bool:
    """Add a key with its hash."""
    return await ring.add(key(key_id, client, created_at=created_at), fake_hash(key_id))


@pytest.fixture(autouse=True)
def _two_active_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the limit, so that few keys reach it."""
    monkeypatch.setattr(api_keys, "ACTIVE_KEYS_MAX", 2)


@pytest.fixture
def ring(engine: AsyncEngine) -> KeyRing:
    return KeyRing(engine)


@pytest.fixture
def rings(open_one: OpenEngine, database_url: str) -> list[KeyRing]:
    """Return four key rings on one database, each with its own connections."""
    return [KeyRing(open_one(database_url)) for _ in range(4)]


@pytest.mark.parametrize("role", Role)
async def test_an_added_key_is_found(ring: KeyRing, role: Role) -> None:
    made = key("k1", "a" * 64, role, NOON.astimezone(EAST))
    assert await ring.add(made, "f" * 64)
    assert await ring.find("k1") == StoredKey(made, "f" * 64)
    assert await ring.find("k2") is None


async def test_an_client_cannot_have_a_third_active_key(ring: KeyRing) -> None:
    assert [await add(ring, each) for each in ("k1", "k2", "k3")] == [True, True, False]
    assert await ring.find("k3") is None
    assert await add(ring, "k4", "ops-2"), "another client is another matter"


async def test_the_limit_counts_keys_of_any_role(ring: KeyRing) -> None:
    added = [await ring.add(key(role, role=role), fake_hash(role)) for role in (Role.VIEWER, Role.ADMIN, Role.PLATFORM)]
    assert added == [True, True, False]


@pytest.mark.parametrize("revoked", ["k1", "k2"])
async def test_revoking_a_key_frees_its_slot(ring: KeyRing, revoked: str) -> None:
    """Whichever of the two keys is revoked, exactly its slot becomes free."""
    await add(ring, "k1")
    await add(ring, "k2")
    await ring.revoke(revoked, "boss", NOON)
    assert [await add(ring, "k3"), await add(ring, "k4")] == [True, False]


async def test_of_concurrent_adds_for_one_client_two_succeed(rings: list[KeyRing]) -> None:
    added = await asyncio.gather(*(add(rings[each % len(rings)], f"k{each}") for each in range(AT_ONCE)))
    assert sum(added) == 2
    assert {each.key_id for each in await rings[0].listed()} == {f"k{each}" for each in range(AT_ONCE) if added[each]}


async def test_concurrent_revokes_and_adds_never_leave_three_active_keys(rings: list[KeyRing]) -> None:
    await add(rings[0], "k1")
    await add(rings[0], "k2")
    adds = [add(rings[each % len(rings)], f"n{each}") for each in range(AT_ONCE)]
    _, *added = await asyncio.gather(rings[1].revoke("k1", "boss", NOON), *adds)
    active = [each for each in await rings[0].listed() if each.revoked_at is None]
    assert len(active) == 1 + sum(added) <= 2


async def test_revoking_records_who_and_when_and_repeating_it_changes_nothing(ring: KeyRing) -> None:
    await add(ring, "k1")
    first = await ring.revoke("k1", "boss", NOON)
    assert first == key("k1").model_copy(update={"revoked_at": NOON, "revoked_by": "boss"})
    assert await ring.revoke("k1", "somebody", NOON + timedelta(days=1)) == first
    assert await ring.find("k1") == StoredKey(first, "")
    assert await ring.revoke("k2", "boss", NOON) is None


async def test_concurrent_revokes_all_return_the_first_one(rings: list[KeyRing]) -> None:
    await add(rings[0], "k1")
    answers = await asyncio.gather(
        *(rings[each % len(rings)].revoke("k1", f"boss-{each}", NOON) for each in range(AT_ONCE))
    )
    assert len({each.revoked_by for each in answers if each is not None}) == 1
    assert None not in answers


async def test_the_list_has_active_keys_first_and_newest_first(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(4):
        await add(ring, f"k{day}", f"ops-{day}", NOON + timedelta(days=day))
    await ring.revoke("k3", "boss", NOON)
    await ring.revoke("k1", "boss", NOON)
    assert [each.key_id for each in await ring.listed()] == ["k2", "k0", "k3", "k1"]
    monkeypatch.setattr(api_keys, "KEYS_LISTED_MAX", 3)
    assert [each.key_id for each in await ring.listed()] == ["k2", "k0", "k3"]


async def test_a_duplicate_key_id_is_an_error_and_uses_no_slot(ring: KeyRing) -> None:
    await add(ring, "k1")
    with pytest.raises(IntegrityError):
        await ring.add(key("k1", "ops-2"), "0" * 64)
    assert await ring.find("k1") == StoredKey(key("k1"), fake_hash("k1"))
    assert [await add(ring, "k2", "ops-2"), await add(ring, "k3", "ops-2")] == [True, True]


async def test_an_error_contains_neither_hash_nor_client(ring: KeyRing, engine: AsyncEngine) -> None:
    """Error texts go into logs."""
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE api_keys RENAME TO out_of_reach"))
    for method in (add(ring, "k1", "somebody"), ring.find("k1"), ring.listed(), ring.revoke("k1", "somebody", NOON)):
        with pytest.raises(DatabaseError, match="api_keys") as error:
            await method
        assert "somebody" not in str(error.value)
        assert fake_hash("k1") not in str(error.value)


async def test_each_writing_transaction_begins_with_a_write(ring: KeyRing, engine: AsyncEngine) -> None:
    """On SQLite, a transaction that began with a read would fail whenever another one wrote in between."""
    seen: list[str] = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda _c, _u, statement, *_: seen.append(statement))
    await add(ring, "k1")
    await ring.revoke("k1", "boss", NOON)
    # Each act is followed by its security event.
    acts = ["INSERT", "INSERT", "UPDATE", "SELECT", "INSERT"]
    assert [statement.split()[0] for statement in seen if statement != "BEGIN"] == acts
