"""The payload codec: AES-256-GCM over each whole payload (ADR 0026).

An encrypted payload has three metadata fields, and they are the associated data of the encryption, so that none of them
can be changed. Its data is a random nonce, followed by the ciphertext of the original payload with its metadata.
"""

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from encryption.keys import Key, MalformedPayloadError, PayloadKeys, UndecryptablePayloadError, is_key_id

ENCODING = b"binary/encrypted"
CIPHER = b"AES-256-GCM/1"
"""The cipher, and the version of this format."""
KEY_ID_FIELD = "encryption-key-id"
CIPHER_FIELD = "encryption-cipher"
NONCE_BYTES = 12
TAG_BYTES = 16


class EncryptionCodec(PayloadCodec):
    """Encrypts payloads with the active key, and decrypts those of all keys.

    Payloads in clear text are decoded as they are, so that settlements that are open when encryption is switched on can
    end. Without an active key, payloads are encoded as they are.
    """

    def __init__(self, keys: PayloadKeys) -> None:
        self._keys = keys

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt each payload under a new nonce. A payload that is encrypted already is returned as it is."""
        key = await self._keys.active()
        if key is None:
            return list(payloads)
        return [each if is_encrypted(each) else _encrypted(key, each) for each in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt each encrypted payload.

        Raises UnknownKeyError, UndecryptablePayloadError or MalformedPayloadError, and then returns none of them.
        """
        return [await self._decrypted(each) if is_encrypted(each) else each for each in payloads]

    async def _decrypted(self, payload: Payload) -> Payload:
        key_id = key_id_of(payload)
        if payload.metadata.get(CIPHER_FIELD) != CIPHER or len(payload.data) < NONCE_BYTES + TAG_BYTES:
            message = f"payload of key {key_id}: not in the format {CIPHER.decode()}"
            raise MalformedPayloadError(message)
        key = await self._keys.named(key_id)
        nonce, ciphertext = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
        try:
            return Payload.FromString(key.cipher.decrypt(nonce, ciphertext, _associated_data(key_id)))
        except (InvalidTag, DecodeError):
            raise UndecryptablePayloadError(key_id) from None


def is_encrypted(payload: Payload) -> bool:
    """Return whether a payload says that this codec has encrypted it."""
    return payload.metadata.get("encoding") == ENCODING


def key_id_of(payload: Payload) -> str:
    """Return the id of the key of an encrypted payload. Raises MalformedPayloadError if it has none."""
    key_id = payload.metadata.get(KEY_ID_FIELD, b"").decode(errors="replace")
    if not is_key_id(key_id):
        message = f"encrypted payload without a valid {KEY_ID_FIELD}"
        raise MalformedPayloadError(message)
    return key_id


def _encrypted(key: Key, payload: Payload) -> Payload:
    nonce = os.urandom(NONCE_BYTES)
    ciphertext = key.cipher.encrypt(nonce, payload.SerializeToString(), _associated_data(key.key_id))
    return Payload(metadata=_metadata(key.key_id), data=nonce + ciphertext)


def _metadata(key_id: str) -> dict[str, bytes]:
    return {"encoding": ENCODING, CIPHER_FIELD: CIPHER, KEY_ID_FIELD: key_id.encode()}


def _associated_data(key_id: str) -> bytes:
    """Return all metadata as bytes. No value contains a NUL, so two different metadata never have the same bytes."""
    return b"\0".join(part for name, value in _metadata(key_id).items() for part in (name.encode(), value))
