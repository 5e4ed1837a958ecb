"""What an API key looks like, `id.secret`, and the keyed hash that is all that is kept of its secret."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Self

SECRET_BYTES = 32
_ID_BYTES = 8
_ID = "[0-9a-f]{16}"
_FORM = re.compile(rf"({_ID})\.([A-Za-z0-9_-]{{43}})")


def is_key_id(value: str) -> bool:
    """Tell whether a text has the form of a key's id."""
    return re.fullmatch(_ID, value) is not None


@dataclass(frozen=True)
class KeyText:
    """A key in full. What is printed of it by accident is its id."""

    key_id: str
    secret: str = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """Return one that nobody has: 256 random bits."""
        return cls(secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(SECRET_BYTES))

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the key that a caller sent; None: it has not the form of one."""
        match = _FORM.fullmatch(text)
        return cls(match[1], match[2]) if match else None

    @property
    def shown(self) -> str:
        """The key as its user sends it."""
        return f"{self.key_id}.{self.secret}"

    def hashed(self, pepper: bytes) -> str:
        """Return the HMAC-SHA256 of the secret under the pepper: without it the ledger's copy tests no guess."""
        return hmac.new(pepper, self.secret.encode(), hashlib.sha256).hexdigest()
