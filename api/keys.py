"""API keys at the front door: made, known again, listed, revoked."""

import asyncio
import hmac
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from api.key_text import KeyText
from contract.access import ApiKey, ApiKeyOrder, NewApiKey
from ledger import KeyRing

log = structlog.get_logger()

REMEMBERED_S = 5.0
"""How long a key counts as active after it was looked up: within it a revocation takes effect in every process."""
REMEMBERED_MAX = 1000
"""Keys remembered at once; beyond it the one looked up longest ago is looked up again."""
LOOK_UP_LIMIT_S = 2.0
"""For a ledger that falls silent: nobody waits longer to be told that it is away."""

_NO_HASH = "0" * 64
"""Compared with where no key has the id, so that an unknown id is refused as a wrong secret is."""


class Keys:
    """The keys of the ledger's database, as one process knows them."""

    def __init__(self, ring: KeyRing, pepper: bytes, clock: Callable[[], float] = time.monotonic) -> None:
        self._ring = ring
        self._pepper = pepper
        self._clock = clock
        self._remembered: dict[tuple[str, str], tuple[ApiKey, float]] = {}

    async def make(self, order: ApiKeyOrder, made_by: str) -> NewApiKey | None:
        """Make a key; None: its owner has as many active ones as allowed. The answer alone holds the secret.

        Repeating it makes another key. Raises SQLAlchemyError or OSError when the ledger is out of reach; after a
        TimeoutError the key may exist, and nobody has its secret: revoke it.
        """
        text = KeyText.new()
        key = ApiKey(
            key_id=text.key_id, owner=order.owner, role=order.role, created_at=datetime.now(UTC), created_by=made_by
        )
        if not await self._ring.add(key, text.hashed(self._pepper)):
            return None
        log.info("api key made", key_id=key.key_id, owner=key.owner, role=key.role.value, by=made_by)
        return NewApiKey(**key.model_dump(by_alias=False), api_key=text.shown)

    async def verify(self, text: str) -> ApiKey | None:
        """Return the key that a caller sent if it is known and active; None: it is not, whatever is wrong with it.

        Only keys that were found good are remembered, so what is refused takes the same way to be refused. Raises
        SQLAlchemyError or OSError when the ledger is out of reach.
        """
        sent = KeyText.read(text)
        if sent is None:
            return None
        hashed = sent.hashed(self._pepper)
        # Taken before the look: a revocation that the look misses is then at most REMEMBERED_S old when it counts.
        now = self._clock()
        known, until = self._remembered.get((sent.key_id, hashed), (None, now))
        if known is not None and now < until:
            return known
        async with asyncio.timeout(LOOK_UP_LIMIT_S):
            stored = await self._ring.find(sent.key_id)
        same = hmac.compare_digest(stored.secret_hash if stored else _NO_HASH, hashed)
        if stored is None or not same or stored.key.revoked_at is not None:
            return None
        self._remember((sent.key_id, hashed), stored.key, now + REMEMBERED_S)
        return stored.key

    async def listed(self) -> list[ApiKey]:
        """Return all keys: active ones, then revoked ones."""
        return await self._ring.listed()

    async def revoke(self, key_id: str, revoked_by: str) -> ApiKey | None:
        """End a key: at once here, within `REMEMBERED_S` in other processes; None: no key has this id.

        Repeating it answers for the first revocation.
        """
        key = await self._ring.revoke(key_id, revoked_by, datetime.now(UTC))
        self._remembered = {each: kept for each, kept in self._remembered.items() if each[0] != key_id}
        if key is not None:
            log.info("api key revoked", key_id=key_id, owner=key.owner, by=key.revoked_by, asked_by=revoked_by)
        return key

    def _remember(self, known_by: tuple[str, str], key: ApiKey, until: float) -> None:
        self._remembered.pop(known_by, None)
        if len(self._remembered) >= REMEMBERED_MAX:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[known_by] = (key, until)
