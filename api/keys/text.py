"""The format of an API key, `id.secret`, and the keyed hashes that verify it."""

import hashlib
import hmac
import json
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import UTC
from typing import Self

from settlement.keys import ApiKey

SECRET_BYTES = 32
_ID_BYTES = 8
_CHECK_BYTES = 12
_ID = "[0-9a-f]{16}"
_FORM = re.compile(rf"({_ID})\.([A-Za-z0-9_-]{{43}})([A-Za-z0-9_-]{{16}})")
_CHECK_PREFIX, _RECORD_PREFIX, _FINGERPRINT_PREFIX = b"api key\0", b"api key record\0", b"api key fingerprint\0"
"""Start of the input of each hash under the pepper, so that none of the three can take the place of another."""


def is_key_id(value: str) -> bool:
    """Return whether a text has the form of a key id."""
    return re.fullmatch(_ID, value) is not None


@dataclass(frozen=True)
class KeyText:
    """A complete key: its id, and a secret followed by a check. Its representation shows only the id."""

    key_id: str
    secret: str = field(repr=False)
    check: str = field(repr=False)

    @classmethod
    def new(cls, pepper: bytes) -> Self:
        """Return a new key with 256 random bits and its check. Computing a check requires the pepper."""
        key_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
        return cls(key_id, secret, _check(pepper, key_id, secret))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the key that a caller sent, or None if the text does not have the form of a key."""
        match = _FORM.fullmatch(text)
        return cls(match[1], match[2], match[3]) if match else None

    @property
    def full(self) -> str:
        """The complete text of the key, as its user sends it."""
        return f"{self.key_id}.{self.secret}{self.check}"

    def has_valid_check(self, pepper: bytes) -> bool:
        """Return whether this key was created with the pepper. A forged key fails here, without a query."""
        return hmac.compare_digest(self.check, _check(pepper, self.key_id, self.secret))

    def fingerprint(self, pepper: bytes) -> str:
        """Return a hash of this key that is kept only in memory, so that no secret is."""
        return self._hash(pepper, _FINGERPRINT_PREFIX, [])

    def record_hash(self, pepper: bytes, record: ApiKey) -> str:
        """Return the hash that the ledger stores: HMAC-SHA256 over the secret, client, role, scope and expiry.

        A row whose rights were edited in the database no longer has this hash, so its key is rejected. A copy of the
        ledger without the pepper is useless.
        """
        expires_at = record.expires_at and record.expires_at.astimezone(UTC).isoformat()
        companies = record.companies if record.companies == "all" else list(record.companies)
        return self._hash(pepper, _RECORD_PREFIX, [record.client, record.role.value, companies, expires_at])

    def _hash(self, pepper: bytes, prefix: bytes, covered: list[object]) -> str:
        message = prefix + json.dumps([self.key_id, self.secret, *covered]).encode()
        return hmac.new(pepper, message, hashlib.sha256).hexdigest()


def _check(pepper: bytes, key_id: str, secret: str) -> str:
    """Return the first 96 bits of the HMAC-SHA256 of id and secret with the pepper, in base64."""
    mac = hmac.new(pepper, _CHECK_PREFIX + f"{key_id}.{secret}".encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(mac[:_CHECK_BYTES]).decode()
