"""API keys of this process: create, verify, list, revoke, and record when they were last used."""

import asyncio
import functools
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from api.keys.last_use import LastUse
from api.keys.text import KeyText
from config.sampling import SampledLog
from ledger import KeyRing, StoredKey
from schemas.keys import ApiKeyRequest, NewApiKey
from settlement.keys import ApiKey

log = structlog.get_logger()
sampled = SampledLog(structlog.get_logger())

REVOKED_WITHIN_S = 5.0
"""Within this time a revocation takes effect in every process, for requests and for open event streams."""
CACHE_S = 4.0
"""How long the result of a look-up is cached. Less than `REVOKED_WITHIN_S`: an event stream verifies its key only
from time to time."""
CACHED_KEYS_MAX = 1000
"""Keys in the cache. One more replaces the key that was looked up longest ago."""
LOOK_UP_LIMIT_S = 2.0
"""If the ledger does not respond, a caller learns after this time that it is unavailable."""

KeyFingerprint = tuple[str, str]
"""The id of a key and the fingerprint of its secret."""


@dataclass(frozen=True)
class _LookUp:
    """The key that the ledger has, not revoked, or None; and until when the cache may return it (monotonic clock)."""

    key: ApiKey | None
    valid_until: float


class Keys:
    """The keys of the ledger's database, with a cache."""

    def __init__(
        self,
        ring: KeyRing,
        pepper: bytes,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ring = ring
        self._pepper = pepper
        self._clock = clock
        self._now = now
        self.last_use = LastUse(ring, clock)
        self._cache: dict[KeyFingerprint, _LookUp] = {}
        self._in_progress: dict[KeyFingerprint, asyncio.Task[_LookUp]] = {}

    async def create(self, request: ApiKeyRequest, created_by: str, *, by_key: str | None = None) -> NewApiKey | None:
        """Create a key, or return None if its client has the maximum of active keys. Only the result has the secret.

        Repeating it creates another key. Raises SQLAlchemyError or OSError if the ledger is unreachable. After a
        TimeoutError the key may exist, but its secret is lost: revoke it.
        """
        text, now = KeyText.new(self._pepper), self._now()
        key = ApiKey(
            key_id=text.key_id,
            client=request.client,
            role=request.role,
            companies=request.companies,
            expires_at=None if request.expires_in_s is None else now + timedelta(seconds=request.expires_in_s),
            created_at=now,
            created_by=created_by,
        )
        if not await self._ring.add(key, text.record_hash(self._pepper, key), by_key=by_key):
            return None
        log.info(
            "api key created",
            key_id=key.key_id,
            client=key.client,
            role=key.role.value,
            scope=str(key.scope),
            expires_at=key.expires_at and key.expires_at.isoformat(),
            by=created_by,
        )
        return NewApiKey(**key.model_dump(by_alias=False), api_key=text.full)

    async def verify(self, text: str) -> ApiKey | None:
        """Return the key that a caller sent if it exists and is neither revoked nor expired, else None.

        A forged key fails its check and costs no read of the ledger. Any other key costs at most one read in `CACHE_S`,
        whether it is active or not. Raises SQLAlchemyError or OSError if the ledger is unreachable.
        """
        sent = KeyText.parse(text)
        if sent is None or not sent.has_valid_check(self._pepper):
            return None
        fingerprint = (sent.key_id, sent.fingerprint(self._pepper))
        look_up = self._cache.get(fingerprint)
        if look_up is None or self._clock() >= look_up.valid_until:
            # Shielded: if one caller disconnects, the others still wait for the same look-up.
            look_up = await asyncio.shield(self._look_up(fingerprint, sent))
        if look_up.key is None or not look_up.key.is_active(self._now()):
            return None
        self.last_use.note(look_up.key.key_id, self._now())
        return look_up.key

    def _look_up(self, fingerprint: KeyFingerprint, sent: KeyText) -> "asyncio.Task[_LookUp]":
        """Return the look-up of a key that is in progress, or start one."""
        task = self._in_progress.get(fingerprint)
        if task is None:
            task = self._in_progress[fingerprint] = asyncio.create_task(self._read_ledger(fingerprint, sent))
            task.add_done_callback(functools.partial(self._finish, fingerprint))
        return task

    def _finish(self, fingerprint: KeyFingerprint, task: "asyncio.Task[_LookUp]") -> None:
        if self._in_progress.get(fingerprint) is task:
            del self._in_progress[fingerprint]
        # Reads the exception. If all callers have disconnected, asyncio would log it as never retrieved.
        _ = task.cancelled() or task.exception()

    async def _read_ledger(self, fingerprint: KeyFingerprint, sent: KeyText) -> _LookUp:
        # Taken before the read: after a revocation that the read misses, the cache returns the key for CACHE_S at most.
        valid_until = self._clock() + CACHE_S
        async with asyncio.timeout(LOOK_UP_LIMIT_S):
            stored = await self._ring.find(sent.key_id)
        if self._in_progress.get(fingerprint) is not asyncio.current_task():
            # This process has revoked the key meanwhile.
            return _LookUp(None, valid_until)
        look_up = _LookUp(stored.key if stored is not None and self._matches(sent, stored) else None, valid_until)
        self._store(fingerprint, look_up)
        return look_up

    def _matches(self, sent: KeyText, stored: StoredKey) -> bool:
        """Return whether the row is not revoked and has the hash of what it says, for this secret."""
        if stored.key.revoked_at is not None:
            return False
        if hmac.compare_digest(stored.record_hash, sent.record_hash(self._pepper, stored.key)):
            return True
        # The sent key was made with the pepper, so the row was changed after its key was created.
        sampled.error("api key rejected: its row in the ledger was changed", key_id=sent.key_id)
        return False

    async def all(self) -> list[ApiKey]:
        """Return all keys: active ones, then revoked ones."""
        return await self._ring.listed()

    async def revoke(self, key_id: str, revoked_by: str, *, by_key: str | None = None) -> ApiKey | None:
        """Revoke a key: at once in this process, within `REVOKED_WITHIN_S` in others. Return None for an unknown id.

        Repeating it changes nothing and returns the key with its first revocation.
        """
        key = await self._ring.revoke(key_id, revoked_by, datetime.now(UTC), by_key=by_key)
        self._cache = {found: kept for found, kept in self._cache.items() if found[0] != key_id}
        # A look-up that started before the revocation may still find the key active.
        self._in_progress = {found: task for found, task in self._in_progress.items() if found[0] != key_id}
        if key is not None:
            log.info("api key revoked", key_id=key_id, client=key.client, by=key.revoked_by, requested_by=revoked_by)
        return key

    def _store(self, fingerprint: KeyFingerprint, look_up: _LookUp) -> None:
        self._cache.pop(fingerprint, None)
        if len(self._cache) >= CACHED_KEYS_MAX:
            del self._cache[next(iter(self._cache))]
        self._cache[fingerprint] = look_up
