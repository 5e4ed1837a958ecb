"""API keys at the front door: made, recognised, listed, revoked."""

import asyncio
import functools
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from api.keys.text import KeyText
from ledger import KeyRing
from schemas.keys import ApiKeyRequest, NewApiKey
from settlement.keys import ApiKey

log = structlog.get_logger()

REVOKED_WITHIN_S = 5.0
"""Within this time a revocation takes effect in every process, for requests and for event streams that are open."""
REMEMBERED_S = 4.0
"""How long the result of a look-up counts. Below `REVOKED_WITHIN_S`: an event stream asks only every now and then."""
REMEMBERED_MAX = 1000
"""Keys remembered at once; beyond it the one looked up longest ago is looked up again."""
LOOK_UP_LIMIT_S = 2.0
"""For a ledger that falls silent: no caller waits longer to be told that it is out of reach."""

KnownBy = tuple[str, str]
"""A key's id and the hash of its secret."""


@dataclass(frozen=True)
class _Look:
    """What the ledger said of a key, and until when it counts. None: it is not known, or not active."""

    key: ApiKey | None
    until: float


class Keys:
    """The keys of the ledger's database, as one process knows them."""

    def __init__(self, ring: KeyRing, pepper: bytes, clock: Callable[[], float] = time.monotonic) -> None:
        self._ring = ring
        self._pepper = pepper
        self._clock = clock
        self._remembered: dict[KnownBy, _Look] = {}
        self._under_way: dict[KnownBy, asyncio.Task[_Look]] = {}

    async def make(self, order: ApiKeyRequest, made_by: str) -> NewApiKey | None:
        """Make a key; None: its owner has as many active ones as allowed. The answer alone holds the secret.

        Repeating it makes another key. Raises SQLAlchemyError or OSError when the ledger is out of reach; after a
        TimeoutError the key may exist, and nobody has its secret: revoke it.
        """
        text = KeyText.new(self._pepper)
        key = ApiKey(
            key_id=text.key_id, owner=order.owner, role=order.role, created_at=datetime.now(UTC), created_by=made_by
        )
        if not await self._ring.add(key, text.hashed(self._pepper)):
            return None
        log.info("api key made", key_id=key.key_id, owner=key.owner, role=key.role.value, by=made_by)
        return NewApiKey(**key.model_dump(by_alias=False), api_key=text.shown)

    async def verify(self, text: str) -> ApiKey | None:
        """Return the key that a caller sent if it is known and active; None: it is not, whatever is wrong with it.

        A made-up key fails its check and costs no read of the ledger. Any other costs at most one in `REMEMBERED_S`,
        active or not. Raises SQLAlchemyError or OSError when the ledger is out of reach.
        """
        sent = KeyText.read(text)
        if sent is None or not sent.was_made_with(self._pepper):
            return None
        known_by = (sent.key_id, sent.hashed(self._pepper))
        look = self._remembered.get(known_by)
        if look is None or self._clock() >= look.until:
            # A caller who gives up stops waiting, not the look-up that others wait for as well.
            look = await asyncio.shield(self._look_up(known_by))
        return look.key

    def _look_up(self, known_by: KnownBy) -> "asyncio.Task[_Look]":
        """Return the look-up of a key that is under way, or begin it."""
        under_way = self._under_way.get(known_by)
        if under_way is None:
            under_way = self._under_way[known_by] = asyncio.create_task(self._ask_ledger(known_by))
            under_way.add_done_callback(functools.partial(self._looked_up, known_by))
        return under_way

    def _looked_up(self, known_by: KnownBy, look: "asyncio.Task[_Look]") -> None:
        if self._under_way.get(known_by) is look:
            del self._under_way[known_by]
        # Every caller may have given up; asyncio would report an error that nobody reads.
        _ = look.cancelled() or look.exception()

    async def _ask_ledger(self, known_by: KnownBy) -> _Look:
        key_id, hashed = known_by
        # Taken before the look: a revocation that the look misses is then at most REMEMBERED_S old when it counts.
        until = self._clock() + REMEMBERED_S
        async with asyncio.timeout(LOOK_UP_LIMIT_S):
            stored = await self._ring.find(key_id)
        if self._under_way.get(known_by) is not asyncio.current_task():
            # The key was revoked here meanwhile.
            return _Look(None, until)
        active = stored is not None and stored.key.revoked_at is None
        same = stored is not None and hmac.compare_digest(stored.secret_hash, hashed)
        look = _Look(stored.key if stored is not None and active and same else None, until)
        self._remember(known_by, look)
        return look

    async def listed(self) -> list[ApiKey]:
        """Return all keys: active ones, then revoked ones."""
        return await self._ring.listed()

    async def revoke(self, key_id: str, revoked_by: str) -> ApiKey | None:
        """End a key: at once here, within `REVOKED_WITHIN_S` in other processes; None: no key has this id.

        Repeating it answers for the first revocation.
        """
        key = await self._ring.revoke(key_id, revoked_by, datetime.now(UTC))
        self._remembered = {each: kept for each, kept in self._remembered.items() if each[0] != key_id}
        # A look-up that began before the revocation may still find the key active.
        self._under_way = {each: look for each, look in self._under_way.items() if each[0] != key_id}
        if key is not None:
            log.info("api key revoked", key_id=key_id, owner=key.owner, by=key.revoked_by, asked_by=revoked_by)
        return key

    def _remember(self, known_by: KnownBy, look: _Look) -> None:
        self._remembered.pop(known_by, None)
        if len(self._remembered) >= REMEMBERED_MAX:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[known_by] = look
