"""A key is bound to its row: whoever edits client, role, scope or expiry in the database disables the key."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from api.keys.last_use import WRITTEN_EVERY_S
from api.keys.verification import Keys
from config import sampling
from ledger import KeyRing
from ledger.tables import api_keys
from schemas.keys import ApiKeyRequest, NewApiKey
from settlement.keys import Role

PEPPER = b"pepper of the tests, 32 bytes or more"


class HangingRing(KeyRing):
    """Completes the write of a last use only when the test lets it."""

    released = asyncio.Event()

    async def note_use(self, key_id: str, at: datetime, every_s: float) -> None:  # noqa: ARG002 - a double has its original's parameters
        """Hang until the test ends."""
        await self.released.wait()


class Clock:
    """A monotonic clock and a wall clock that the test moves together."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self._began = datetime(2026, 1, 5, 12, tzinfo=UTC)

    def monotonic(self) -> float:
        """Return the seconds that have passed."""
        return self.passed_s

    def now(self) -> datetime:
        """Return the time."""
        return self._began + timedelta(seconds=self.passed_s)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def process(engine: AsyncEngine, clock: Clock) -> Keys:
    """Return the keys of a new process, which has nothing in its cache."""
    return Keys(KeyRing(engine), PEPPER, clock.monotonic, clock.now)


async def create(keys: Keys, expires_in_s: int | None = 3600) -> NewApiKey:
    """Create a key of company 1."""
    request = ApiKeyRequest(client="shop-1", role=Role.VIEWER, companies=(1,), expires_in_s=expires_in_s)
    made = await keys.create(request, "boss")
    assert made is not None
    return made


async def accepts(keys: Keys, key: NewApiKey) -> bool:
    """Return whether a key is accepted. Its last use has then been written."""
    found = await keys.verify(key.api_key)
    await keys.last_use.written()
    return found is not None


async def edit(engine: AsyncEngine, key_id: str, **values: object) -> None:
    """Edit a row, as someone with access to the database could."""
    async with engine.begin() as connection:
        await connection.execute(update(api_keys).where(api_keys.c.key_id == key_id).values(**values))


EDITS: dict[str, dict[str, object]] = {
    "client": {"client": "shop-2"},
    "role": {"role": "operator"},
    "another company": {"companies": [1, 2]},
    "every company": {"companies": "all"},
    "a later expiry": {"expires_at": datetime(2036, 1, 5, tzinfo=UTC)},
    "no expiry": {"expires_at": None},
}


@pytest.mark.parametrize("values", EDITS.values(), ids=EDITS)
async def test_an_edited_row_disables_its_key(
    engine: AsyncEngine, clock: Clock, values: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "INTERVAL_S", 0)
    made = await create(process(engine, clock))
    assert await accepts(process(engine, clock), made)
    await edit(engine, made.key_id, **values)
    with capture_logs() as logs:
        assert not await accepts(process(engine, clock), made)
    assert [each["event"] for each in logs] == ["api key rejected: its row in the ledger was changed"]
    assert made.api_key.partition(".")[2] not in json.dumps(logs, default=str)


async def test_the_hash_of_another_row_does_not_help(engine: AsyncEngine, clock: Clock) -> None:
    """The hash also covers the id and the secret, so no row can take over the rights of another one."""
    keys = process(engine, clock)
    viewer = await create(keys)
    boss = await keys.create(ApiKeyRequest(client="boss", role=Role.ADMIN, companies="all"), "boss")
    assert boss is not None
    stored = await KeyRing(engine).find(boss.key_id)
    assert stored is not None
    rights = {"client": "boss-2", "role": "admin", "companies": "all", "expires_at": None}
    await edit(engine, viewer.key_id, **rights, record_hash=stored.record_hash)
    assert not await accepts(process(engine, clock), viewer)


async def test_a_revoked_key_cannot_be_revived_in_the_database(engine: AsyncEngine, clock: Clock) -> None:
    keys = process(engine, clock)
    made = await create(keys)
    await keys.revoke(made.key_id, "boss")
    await edit(engine, made.key_id, revoked_at=None, revoked_by=None)
    assert not await accepts(process(engine, clock), made)


async def test_a_key_expires_also_in_the_cache(engine: AsyncEngine, clock: Clock) -> None:
    keys = process(engine, clock)
    made = await create(keys, expires_in_s=60)
    clock.passed_s = 59
    assert await accepts(keys, made)
    clock.passed_s = 60
    assert not await accepts(keys, made)


async def last_use(engine: AsyncEngine, key_id: str) -> datetime | None:
    """Return when a key was last used, as the ledger has it."""
    found = await KeyRing(engine).find(key_id)
    assert found is not None
    return found.key.last_used_at


async def test_the_last_use_is_written_at_most_once_a_minute(engine: AsyncEngine, clock: Clock) -> None:
    """Also if two processes see the key."""
    keys, other = process(engine, clock), process(engine, clock)
    made = await create(keys)
    assert await last_use(engine, made.key_id) is None

    async def uses(at_s: float, expected_s: float) -> None:
        clock.passed_s = at_s
        for each in (keys, other):
            assert await accepts(each, made)
        found = await last_use(engine, made.key_id)
        assert found is not None
        assert found - made.created_at == timedelta(seconds=expected_s)

    await uses(1, 1)
    await uses(WRITTEN_EVERY_S, 1)
    await uses(WRITTEN_EVERY_S + 1, WRITTEN_EVERY_S + 1)


async def test_no_request_waits_for_the_last_use(engine: AsyncEngine, clock: Clock) -> None:
    keys = Keys(HangingRing(engine), PEPPER, clock.monotonic, clock.now)
    made = await create(keys)
    assert await asyncio.wait_for(keys.verify(made.api_key), 5) is not None
    assert await last_use(engine, made.key_id) is None
    HangingRing.released.set()
    await keys.last_use.written()
