"""The keys of payloads, and the errors of a payload that no key opens."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
"""Bytes of a key of AES-256."""
KEY_ID_PATTERN = "[a-z0-9][a-z0-9._-]{0,63}"
_KEY_ID = re.compile(KEY_ID_PATTERN)


class PayloadError(RuntimeError):
    """A payload cannot be encrypted or decrypted. The text names the id of its key, never a key or clear text.

    It is a RuntimeError, and no ApplicationError: the SDK then fails the workflow task, which Temporal retries, and not
    the workflow. Callers of the client handle RuntimeError as "Temporal did not confirm" (`calling_temporal`).
    """


class UnknownKeyError(PayloadError):
    """This process does not have the key of the payload. Another process may have it."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"payload of key {key_id}: this process does not have the key")


class UndecryptablePayloadError(PayloadError):
    """The payload was changed or moved, or another key has its key id here."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"payload of key {key_id}: another key has this id here, or the payload was changed")


class MalformedPayloadError(PayloadError):
    """The payload says that it is encrypted, but it has no readable key id, or another format."""


def is_key_id(text: str) -> bool:
    """Return whether a text has the form of a key id. Only then may an error or a log line show it."""
    return _KEY_ID.fullmatch(text) is not None


@dataclass(frozen=True)
class Key:
    """A key of AES-256-GCM with its id. Neither `repr` nor an error shows the key. Raises ValueError if it is wrong."""

    key_id: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not is_key_id(self.key_id):
            message = "a key id must be 1 to 64 lower-case letters, digits, dots, hyphens and underscores"
            raise ValueError(message)
        if len(self.secret) != KEY_BYTES:
            message = f"a key must have exactly {KEY_BYTES} bytes"
            raise ValueError(message)

    @cached_property
    def cipher(self) -> AESGCM:
        """The cipher with this key. It may be used by several threads."""
        return AESGCM(self.secret)


class PayloadKeys(Protocol):
    """Where the codec gets its keys. Each call may wait, so a key management service (KMS) can be asked.

    An implementation with a KMS returns data keys that the KMS has unwrapped, keeps them in memory, and uses the name
    of the wrapped data key as key id.
    """

    async def active(self) -> Key | None:
        """Return the key that encrypts now; None if payloads are written in clear text."""

    async def named(self, key_id: str) -> Key:
        """Return the key with an id, active or older. Raises UnknownKeyError."""


class PayloadKeyRing:
    """Keys in memory: at most one active key, and older ones that only decrypt."""

    def __init__(self, keys: Iterable[Key] = (), active: str | None = None) -> None:
        """Raise ValueError if two ids have the same key, an id is repeated, or the active key is missing."""
        given = list(keys)
        self._keys = {key.key_id: key for key in given}
        if len(self._keys) != len(given):
            message = "a key id is repeated"
            raise ValueError(message)
        if len({key.secret for key in given}) != len(given):
            message = "two key ids have the same key"
            raise ValueError(message)
        if active is not None and active not in self._keys:
            message = f"the active key {active} is not among the keys"
            raise ValueError(message)
        self._active = active

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all keys."""
        return tuple(sorted(self._keys))

    @property
    def active_id(self) -> str | None:
        """The id of the active key; None if there is none."""
        return self._active

    def find(self, key_id: str) -> Key | None:
        """Return the key with an id; None if there is none."""
        return self._keys.get(key_id)

    async def active(self) -> Key | None:
        """Return the active key; None if payloads are written in clear text."""
        return self._keys[self._active] if self._active is not None else None

    async def named(self, key_id: str) -> Key:
        """Return the key with an id. Raises UnknownKeyError."""
        key = self.find(key_id)
        if key is None:
            raise UnknownKeyError(key_id)
        return key
