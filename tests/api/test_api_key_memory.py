"""What one process remembers of keys: good ones only, for a few seconds, so many and no more."""

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
from tests.api.doors import PEPPER


class WatchedRing(KeyRing):
    """Counts look-ups; can be away, silent, or let somebody in between a look and its answer."""

    look_ups = 0
    failure: Exception | None = None
    silent = False
    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def find(self, key_id: str) -> StoredKey | None:
        """Look up."""
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
    """A clock that goes when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def ring(engine: AsyncEngine) -> WatchedRing:
    return WatchedRing(engine)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(ring: WatchedRing, clock: Clock) -> Keys:
    return Keys(ring, PEPPER, clock)


async def make(keys: Keys, owner: str = "ops-1") -> NewApiKey:
    """Make a key."""
    made = await keys.create(ApiKeyRequest(owner=owner, role=Role.VIEWER), "boss")
    assert made is not None
    return made


async def knows(keys: Keys, key: str) -> bool:
    """Tell whether a key is let in."""
    return await keys.verify(key) is not None


async def test_a_good_key_is_looked_up_once_in_a_while(keys: Keys, ring: WatchedRing, clock: Clock) -> None:
    key = (await make(keys)).api_key
    assert all([await knows(keys, key) for _ in range(5)])
    assert ring.look_ups == 1
    clock.now += CACHE_S
    assert await knows(keys, key)
    assert ring.look_ups == 2


async def test_it_comes_back_as_it_was_made(keys: Keys) -> None:
    made = await make(keys)
    for _ in range(2):
        found = await keys.verify(made.api_key)
        assert found is not None
        assert found.model_dump() == made.model_dump(exclude={"api_key"})


def changed(text: str, position: int) -> str:
    """Return a key with one character replaced by another that may stand there."""
    return f"{text[:position]}{'1' if text[position] == '0' else '0'}{text[position + 1 :]}"


async def test_a_made_up_key_costs_no_look_up(keys: Keys, ring: WatchedRing) -> None:
    """Only who has the pepper can make a key that is looked up: anonymous callers cannot load the ledger."""
    good = (await make(keys)).api_key
    other = KeyText.new(b"another pepper of 32 bytes or more").full
    made_up = [changed(good, at) for at in range(len(good)) if good[at] != "."]
    assert not any([await knows(keys, each) for each in (*made_up, other)])
    assert ring.look_ups == 0


async def test_a_key_that_is_not_active_is_looked_up_once_in_a_while(
    keys: Keys, ring: WatchedRing, clock: Clock
) -> None:
    """Neither can the holder of a revoked key load the ledger."""
    revoked = await make(keys)
    await keys.revoke(revoked.key_id, "boss")
    for key in (revoked.api_key, KeyText.new(PEPPER).full):
        ring.look_ups = 0
        assert not any([await knows(keys, key) for _ in range(5)])
        assert ring.look_ups == 1
        clock.now += CACHE_S
        assert not await knows(keys, key)
        assert ring.look_ups == 2


async def test_many_requests_at_once_with_one_key_look_it_up_once(keys: Keys, ring: WatchedRing) -> None:
    key = (await make(keys)).api_key
    assert all(await asyncio.gather(*(knows(keys, key) for _ in range(20))))
    assert ring.look_ups == 1


async def test_a_caller_who_gives_up_does_not_end_the_look_up_of_the_others(keys: Keys, ring: WatchedRing) -> None:
    key = (await make(keys)).api_key
    looked, go_on = asyncio.Event(), asyncio.Event()

    async def pause() -> None:
        looked.set()
        await go_on.wait()

    ring.meanwhile = pause
    first, second = (asyncio.create_task(knows(keys, key)) for _ in range(2))
    await looked.wait()
    first.cancel()
    go_on.set()
    assert await second


async def test_a_revocation_here_counts_although_a_look_up_is_under_way(keys: Keys, ring: WatchedRing) -> None:
    """The look-up that began before it must not bring the key back."""
    made = await make(keys)

    async def revoked_here() -> None:
        ring.meanwhile = None
        await keys.revoke(made.key_id, "boss")

    ring.meanwhile = revoked_here
    assert not await knows(keys, made.api_key)
    assert not await knows(keys, made.api_key)


@pytest.mark.parametrize("text", ["", "x", "." * 60, "0" * 16, "\0", "0123456789abcdef." + "é" * 43])
async def test_what_has_not_the_form_of_a_key_is_never_looked_up(keys: Keys, ring: WatchedRing, text: str) -> None:
    assert not await knows(keys, text)
    assert ring.look_ups == 0


async def test_the_other_half_of_another_key_does_not_fit(keys: Keys) -> None:
    first, second = await make(keys, "ops-1"), await make(keys, "ops-2")
    assert await knows(keys, first.api_key)
    assert await knows(keys, second.api_key)
    assert not await knows(keys, f"{first.key_id}.{second.api_key.partition('.')[2]}")


async def test_another_pepper_knows_no_key(keys: Keys, ring: WatchedRing) -> None:
    key = (await make(keys)).api_key
    assert not await knows(Keys(ring, b"another pepper of 32 bytes or more"), key)


async def test_a_revocation_elsewhere_counts_here_within_the_bound(keys: Keys, ring: WatchedRing, clock: Clock) -> None:
    made = await make(keys)
    assert await knows(keys, made.api_key)
    await Keys(ring, PEPPER).revoke(made.key_id, "boss")
    clock.now += CACHE_S - 0.001
    assert await knows(keys, made.api_key), "that is the bound"
    clock.now += 0.001
    assert not await knows(keys, made.api_key)


async def test_a_revocation_here_counts_at_once(keys: Keys) -> None:
    made, other = await make(keys, "ops-1"), await make(keys, "ops-2")
    assert await knows(keys, made.api_key)
    assert await knows(keys, other.api_key)
    await keys.revoke(made.key_id, "boss")
    assert not await knows(keys, made.api_key)
    assert await knows(keys, other.api_key)


async def test_a_revocation_between_look_and_answer_is_no_longer_missed_than_any_other(
    keys: Keys, ring: WatchedRing, clock: Clock
) -> None:
    """The time counts from before the look: a slow ledger makes it no longer."""
    made = await make(keys)

    async def slow_and_revoked() -> None:
        await Keys(ring, PEPPER).revoke(made.key_id, "boss")
        clock.now += 1

    ring.meanwhile = slow_and_revoked
    assert await knows(keys, made.api_key)
    ring.meanwhile = None
    clock.now += CACHE_S - 1
    assert not await knows(keys, made.api_key)


async def test_so_many_are_remembered_and_no_more(
    keys: Keys, ring: WatchedRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "CACHED_KEYS_MAX", 3)
    made = [(await make(keys, f"ops-{each}")).api_key for each in range(5)]
    for key in made:
        await knows(keys, key)
    ring.look_ups = 0
    for key in reversed(made[2:]):
        await knows(keys, key)
    assert ring.look_ups == 0
    await knows(keys, made[0])
    assert ring.look_ups == 1


async def test_a_remembered_key_does_without_the_ledger_for_as_long_and_no_longer(
    keys: Keys, ring: WatchedRing, clock: Clock
) -> None:
    key = (await make(keys)).api_key
    assert await knows(keys, key)
    ring.failure = ConnectionResetError()
    assert await knows(keys, key)
    clock.now += CACHE_S
    with pytest.raises(ConnectionResetError):
        await keys.verify(key)


async def test_a_ledger_that_falls_silent_is_not_waited_for(
    keys: Keys, ring: WatchedRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = (await make(keys)).api_key
    monkeypatch.setattr(keys_module, "LOOK_UP_LIMIT_S", 0.05)
    ring.silent = True
    with pytest.raises(TimeoutError):
        await keys.verify(key)


def test_what_is_read_is_what_was_shown() -> None:
    key = KeyText.new(PEPPER)
    assert KeyText.parse(key.full) == key
