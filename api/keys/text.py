"""What an API key looks like, `id.secret`, and the keyed hashes by which it is recognised."""

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Self

SECRET_BYTES = 32
_ID_BYTES = 8
_CHECK_BYTES = 12
_ID = "[0-9a-f]{16}"
_FORM = re.compile(rf"({_ID})\.([A-Za-z0-9_-]{{43}})([A-Za-z0-9_-]{{16}})")
_CHECKED = b"api key\0"
"""Begins what the check is made over, so that it never equals the hash that the ledger stores."""


def is_key_id(value: str) -> bool:
    """Tell whether a text has the form of a key's id."""
    return re.fullmatch(_ID, value) is not None


@dataclass(frozen=True)
class KeyText:
    """A key in full: its id, and a secret that ends with a check. What is printed of it by accident is its id."""

    key_id: str
    secret: str = field(repr=False)
    check: str = field(repr=False)

    @classmethod
    def new(cls, pepper: bytes) -> Self:
        """Return a new key with 256 random bits, and the check that only a holder of the pepper can make."""
        key_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
        return cls(key_id, secret, _check(pepper, key_id, secret))

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the key that a caller sent; None: it has not the form of one."""
        match = _FORM.fullmatch(text)
        return cls(match[1], match[2], match[3]) if match else None

    @property
    def shown(self) -> str:
        """The key as its user sends it."""
        return f"{self.key_id}.{self.secret}{self.check}"

    def was_made_with(self, pepper: bytes) -> bool:
        """Tell, without the ledger, whether a holder of the pepper made this key. A made-up key fails here."""
        return hmac.compare_digest(self.check, _check(pepper, self.key_id, self.secret))

    def hashed(self, pepper: bytes) -> str:
        """Return the HMAC-SHA256 of the secret under the pepper: without it the ledger's copy tests no guess."""
        return hmac.new(pepper, self.secret.encode(), hashlib.sha256).hexdigest()


def _check(pepper: bytes, key_id: str, secret: str) -> str:
    """Return the first 96 bits of the HMAC-SHA256 of id and secret under the pepper."""
    mac = hmac.new(pepper, _CHECKED + f"{key_id}.{secret}".encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(mac[:_CHECK_BYTES]).decode()
