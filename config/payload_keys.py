"""The file that `SETTLEMENT_PAYLOAD_KEYS` names: a reference to each key of payloads (docs/deployment.md)."""

import re
import sys
import time
from pathlib import Path
from typing import Annotated

import structlog
from pydantic import BaseModel, ConfigDict, Field

from config.configuration_file import InvalidFileError, parse_toml
from config.secret_references import SecretReference, SecretUnavailableError, read_secret
from config.settings import ENV_PREFIX, Settings
from config.watched_file import WatchedFile
from encryption.codec import EncryptionCodec
from encryption.keys import KEY_BYTES, KEY_ID_PATTERN, Key, PayloadKeyRing, UnknownKeyError

KEYS_MAX = 100
FILE_CURRENT = "settlement_payload_keys_current"
FILE_CURRENT_HELP = "1 if the newest content of the file of payload keys is in use, 0 if it was rejected."
"""A metric of every API process and every worker."""
LOOK_AGAIN_S = 0.5
"""Shortest time between two looks at the file because of an unknown key id."""

log = structlog.get_logger()

_KeyId = Annotated[str, Field(pattern=f"^{KEY_ID_PATTERN}$")]
_HEX = re.compile(f"[0-9a-fA-F]{{{2 * KEY_BYTES}}}")


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    active: _KeyId | None = None
    keys: dict[_KeyId, SecretReference] = Field(min_length=1, max_length=KEYS_MAX)


def parse_payload_keys(path: Path, content: bytes) -> PayloadKeyRing:
    """Validate the file as a whole, and read every key that it refers to.

    Raises InvalidFileError, which names file, key id and place, and never a part of a key.
    """
    file = parse_toml(path, content, _File)
    problems, keys = list[str](), list[Key]()
    for key_id, reference in file.keys.items():
        try:
            keys.append(Key(key_id, _secret(reference)))
        except (SecretUnavailableError, ValueError) as error:
            problems.append(f"keys.{key_id}: {error}")
    if problems:
        raise InvalidFileError(path, problems)
    try:
        return PayloadKeyRing(keys, file.active)
    except ValueError as error:
        raise InvalidFileError(path, [str(error)]) from None


def _secret(reference: SecretReference) -> bytes:
    if (reference.env is None) is (reference.file is None):
        message = "needs exactly one of env and file"
        raise ValueError(message)
    text = read_secret(reference)
    if not _HEX.fullmatch(text):
        message = f"{reference} must hold {2 * KEY_BYTES} hexadecimal digits"
        raise ValueError(message)
    return bytes.fromhex(text)


class FileKeys:
    """The keys of the file, which is watched: `PayloadKeys` for the codec."""

    def __init__(self, path: Path) -> None:
        """Load the keys. Raises InvalidFileError."""
        self.watched = WatchedFile("payload keys", path, parse_payload_keys, without_file=PayloadKeyRing)
        self._looked_at = -LOOK_AGAIN_S

    async def active(self) -> Key | None:
        """Return the active key; None if payloads are written in clear text."""
        return await self.watched.active.active()

    async def named(self, key_id: str) -> Key:
        """Return the key with an id. Raises UnknownKeyError.

        If it is unknown, the file is read again first: another process may have seen a new key earlier.
        """
        if self.watched.active.find(key_id) is None and time.monotonic() - self._looked_at >= LOOK_AGAIN_S:
            self._looked_at = time.monotonic()
            await self.watched.refresh()
        try:
            return await self.watched.active.named(key_id)
        except UnknownKeyError:
            log.error("payload key unknown", payload_key=key_id, known=self.watched.active.ids)  # noqa: TRY400 - the error is raised on
            raise


def load_payload_keys(settings: Settings) -> FileKeys | None:
    """Load the keys at the start of a process; None if the settings name no file.

    If they cannot be used, print what is wrong and exit with 2.
    """
    if settings.payload_keys is None:
        return None
    try:
        keys = FileKeys(settings.payload_keys)
    except InvalidFileError as error:
        print(f"{ENV_PREFIX}PAYLOAD_KEYS: {error}", file=sys.stderr)  # noqa: T201 - as settings do
        raise SystemExit(2) from None
    log.info("payload keys loaded", active=keys.watched.active.active_id, known=keys.watched.active.ids)
    return keys


def payload_codec(keys: FileKeys | None) -> EncryptionCodec | None:
    """Return the codec with these keys; None without keys."""
    return None if keys is None else EncryptionCodec(keys)
