"""The cache of keys in one process: bounded in time and number, and revocations take effect in time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.keys import verification as keys_module
from api.keys.text import KeyText
from api.keys.verification import CACHE_S, Keys
from ledger import KeyRing, StoredKey
from schemas.keys import ApiKeyRequest, NewApiKey
from settlement.keys import Role
from tests.api.api_harness import PEPPER


class ObservedKeyRing(KeyRing):
    """Counts look-ups. It can fail, not respond, or run a function between the read and its result."""

    look_ups = 0
    failure: Exception | None = None
    silent = False
    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def find(self, key_id: str) -> StoredKey | None:
        """Count and look up."""
        self.look_ups += 1
        if self.failure is not None:
            raise self.failure
        if self.silent:
            await asyncio.Event().wait()
        found = await super().find(key_id)
        if self.meanwhile is not None:
            await self.meanwhile()
        return found


class Clock:
    """A clock that the test sets."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def ring(engine: AsyncEngine) -> ObservedKeyRing:
    return ObservedKeyRing(engine)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(ring: ObservedKeyRing, clock: Clock) -> Keys:
    return Keys(ring, PEPPER, clock)


async def create(keys: Keys, client: str = "ops-1") -> NewApiKey:
    """Create a key."""
    made = await keys.create(ApiKeyRequest(client=client, role=Role.VIEWER, companies="all"), "boss")
    assert made is not None
    return made


async def accepts(keys: Keys, key: str) -> bool:
    """Return whether a key is accepted."""
    return await keys.verify(key) is not None


async def test_an_active_key_is_looked_up_once_per_cache_time(keys: Keys, ring: ObservedKeyRing, clock: Clock) -> None:
    key = (await create(keys)).api_key
    assert all([await accepts(keys, key) for _ in range(5)])
    assert ring.look_ups == 1
    clock.now += CACHE_S
    assert await accepts(keys, key)
    assert ring.look_ups == 2


async def test_verify_returns_the_created_key(keys: Keys) -> None:
    made = await create(keys)
    for _ in range(2):
        found = await keys.verify(made.api_key)
        assert found is not None
        assert found.model_dump() == made.model_dump(exclude={"api_key"})


def changed(text: str, position: int) -> str:
    """Return a key with one character replaced by another valid one."""
    return f"{text[:position]}{'1' if text[position] == '0' else '0'}{text[position + 1 :]}"


async def test_a_forged_key_costs_no_look_up(keys: Keys, ring: ObservedKeyRing) -> None:
    """Only a holder of the pepper can make a key that is looked up, so anonymous callers cannot load the ledger."""
    good = (await create(keys)).api_key
    other = KeyText.new(b"another pepper of 32 bytes or more").full
    made_up = [changed(good, at) for at in range(len(good)) if good[at] != "."]
    assert not any([await accepts(keys, each) for each in (*made_up, other)])
    assert ring.look_ups == 0


async def test_an_inactive_key_is_looked_up_once_per_cache_time(
    keys: Keys, ring: ObservedKeyRing, clock: Clock
) -> None:
    """The holder of a revoked key cannot load the ledger, either."""
    revoked = await create(keys)
    await keys.revoke(revoked.key_id, "boss")
    for key in (revoked.api_key, KeyText.new(PEPPER).full):
        ring.look_ups = 0
        assert not any([await accepts(keys, key) for _ in range(5)])
        assert ring.look_ups == 1
        clock.now += CACHE_S
        assert not await accepts(keys, key)
        assert ring.look_ups == 2


async def test_many_requests_at_once_with_one_key_look_it_up_once(keys: Keys, ring: ObservedKeyRing) -> None:
    key = (await create(keys)).api_key
    assert all(await asyncio.gather(*(accepts(keys, key) for _ in range(20))))
    assert ring.look_ups == 1


async def test_a_caller_that_disconnects_does_not_cancel_the_look_up_of_the_others(
    keys: Keys, ring: ObservedKeyRing
) -> None:
    key = (await create(keys)).api_key
    reading, released = asyncio.Event(), asyncio.Event()

    async def pause() -> None:
        reading.set()
        await released.wait()

    ring.meanwhile = pause
    first, second = (asyncio.create_task(accepts(keys, key)) for _ in range(2))
    await reading.wait()
    first.cancel()
    released.set()
    assert await second


async def test_a_revocation_takes_effect_although_a_look_up_is_in_progress(keys: Keys, ring: ObservedKeyRing) -> None:
    """A look-up that started before the revocation must not put the key into the cache again."""
    made = await create(keys)

    async def revoked_here() -> None:
        ring.meanwhile = None
        await keys.revoke(made.key_id, "boss")

    ring.meanwhile = revoked_here
    assert not await accepts(keys, made.api_key)
    assert not await accepts(keys, made.api_key)


@pytest.mark.parametrize("text", ["", "x", "." * 60, "0" * 16, "\0", "0123456789abcdef." + "é" * 43])
async def test_a_malformed_key_is_never_looked_up(keys: Keys, ring: ObservedKeyRing, text: str) -> None:
    assert not await accepts(keys, text)
    assert ring.look_ups == 0


async def test_the_secret_of_another_key_is_rejected(keys: Keys) -> None:
    first, second = await create(keys, "ops-1"), await create(keys, "ops-2")
    assert await accepts(keys, first.api_key)
    assert await accepts(keys, second.api_key)
    assert not await accepts(keys, f"{first.key_id}.{second.api_key.partition('.')[2]}")


async def test_a_key_is_rejected_under_another_pepper(keys: Keys, ring: ObservedKeyRing) -> None:
    key = (await create(keys)).api_key
    assert not await accepts(Keys(ring, b"another pepper of 32 bytes or more"), key)


async def test_a_revocation_in_another_process_takes_effect_within_the_cache_time(
    keys: Keys, ring: ObservedKeyRing, clock: Clock
) -> None:
    made = await create(keys)
    assert await accepts(keys, made.api_key)
    await Keys(ring, PEPPER).revoke(made.key_id, "boss")
    clock.now += CACHE_S - 0.001
    assert await accepts(keys, made.api_key), "the cache is still valid"
    clock.now += 0.001
    assert not await accepts(keys, made.api_key)


async def test_a_revocation_in_this_process_takes_effect_at_once(keys: Keys) -> None:
    made, other = await create(keys, "ops-1"), await create(keys, "ops-2")
    assert await accepts(keys, made.api_key)
    assert await accepts(keys, other.api_key)
    await keys.revoke(made.key_id, "boss")
    assert not await accepts(keys, made.api_key)
    assert await accepts(keys, other.api_key)


async def test_a_revocation_during_a_slow_look_up_takes_effect_within_the_cache_time(
    keys: Keys, ring: ObservedKeyRing, clock: Clock
) -> None:
    """The cache time starts before the read, so a slow ledger does not extend it."""
    made = await create(keys)

    async def slow_and_revoked() -> None:
        await Keys(ring, PEPPER).revoke(made.key_id, "boss")
        clock.now += 1

    ring.meanwhile = slow_and_revoked
    assert await accepts(keys, made.api_key)
    ring.meanwhile = None
    clock.now += CACHE_S - 1
    assert not await accepts(keys, made.api_key)


async def test_the_size_of_the_cache_is_limited(
    keys: Keys, ring: ObservedKeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "CACHED_KEYS_MAX", 3)
    made = [(await create(keys, f"ops-{each}")).api_key for each in range(5)]
    for key in made:
        await accepts(keys, key)
    ring.look_ups = 0
    for key in reversed(made[2:]):
        await accepts(keys, key)
    assert ring.look_ups == 0
    await accepts(keys, made[0])
    assert ring.look_ups == 1


async def test_a_cached_key_works_without_the_ledger_until_the_cache_expires(
    keys: Keys, ring: ObservedKeyRing, clock: Clock
) -> None:
    key = (await create(keys)).api_key
    assert await accepts(keys, key)
    ring.failure = ConnectionResetError()
    assert await accepts(keys, key)
    clock.now += CACHE_S
    with pytest.raises(ConnectionResetError):
        await keys.verify(key)


async def test_a_look_up_in_an_unresponsive_ledger_times_out(
    keys: Keys, ring: ObservedKeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = (await create(keys)).api_key
    monkeypatch.setattr(keys_module, "LOOK_UP_LIMIT_S", 0.05)
    ring.silent = True
    with pytest.raises(TimeoutError):
        await keys.verify(key)


def test_a_parsed_key_equals_the_created_one() -> None:
    key = KeyText.new(PEPPER)
    assert KeyText.parse(key.full) == key
