"""Every payload is encrypted as a whole, decrypts only under its key and unchanged, and errors show no secret."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from encryption.codec import CIPHER_FIELD, ENCODING, KEY_ID_FIELD, NONCE_BYTES, EncryptionCodec
from encryption.keys import (
    Key,
    MalformedPayloadError,
    PayloadError,
    PayloadKeyRing,
    UndecryptablePayloadError,
    UnknownKeyError,
)
from tests.support.payload_keys import ring, secret_of
from workflows.runtime import DATA_CONVERTER, data_converter

MARKER = b"Jane Roe, 203.0.113.7"
CLEAR = Payload(metadata={"encoding": b"json/plain", "messageType": b"marker-type"}, data=b'"' + MARKER + b'"')


async def encrypted(payload: Payload = CLEAR, key_id: str = "k1") -> Payload:
    (done,) = await EncryptionCodec(ring(key_id)).encode([payload])
    return done


@given(
    metadata=st.dictionaries(st.text(max_size=20), st.binary(max_size=50), max_size=4).filter(
        lambda each: each.get("encoding") != ENCODING
    ),
    data=st.binary(max_size=2000),
)
async def test_any_payload_is_restored_with_its_metadata(metadata: dict[str, bytes], data: bytes) -> None:
    codec, payload = EncryptionCodec(ring("k1")), Payload(metadata=metadata, data=data)
    assert await codec.decode(await codec.encode([payload])) == [payload]


@pytest.mark.parametrize(
    "payload",
    [
        Payload(),
        Payload(metadata={"encoding": b"binary/null"}),
        Payload(metadata={"encoding": b"binary/plain"}, data=bytes(range(256))),
        Payload(metadata={"encoding": b"json/plain"}, data=b"x" * 1_000_000),
    ],
    ids=["empty", "null", "binary", "large"],
)
async def test_empty_binary_and_large_payloads_are_restored(payload: Payload) -> None:
    codec = EncryptionCodec(ring("k1"))
    done = await codec.encode([payload, payload])
    assert [each.metadata["encoding"] for each in done] == [ENCODING, ENCODING]
    assert await codec.decode(done) == [payload, payload]


async def test_an_encrypted_payload_shows_its_key_id_and_nothing_of_the_original() -> None:
    done = await encrypted()
    assert done.metadata[KEY_ID_FIELD] == b"k1"
    stored = done.SerializeToString()
    assert not [part for part in (MARKER, b"json/plain", b"marker-type", secret_of("k1")) if part in stored]


async def test_each_encryption_has_another_nonce() -> None:
    nonces = {(await encrypted()).data[:NONCE_BYTES] for _ in range(100)}
    assert len(nonces) == 100


async def test_after_a_rotation_new_payloads_have_the_new_key_and_old_ones_can_be_read() -> None:
    old = await encrypted(key_id="k1")
    rotated = EncryptionCodec(ring("k1", "k2", active="k2"))
    (new,) = await rotated.encode([CLEAR])
    assert new.metadata[KEY_ID_FIELD] == b"k2"
    assert await rotated.decode([old, new]) == [CLEAR, CLEAR]


async def test_without_an_active_key_payloads_are_written_in_clear_text_and_encrypted_ones_are_read() -> None:
    codec = EncryptionCodec(PayloadKeyRing([Key("k1", secret_of("k1"))]))
    assert await codec.encode([CLEAR]) == [CLEAR]
    assert await codec.decode([CLEAR, await encrypted()]) == [CLEAR, CLEAR]


async def test_an_encrypted_payload_is_not_encrypted_again() -> None:
    once = await encrypted()
    assert await EncryptionCodec(ring("k2")).encode([once]) == [once]


async def test_an_unknown_key_is_named() -> None:
    with pytest.raises(UnknownKeyError, match="payload of key k1: this process does not have the key"):
        await EncryptionCodec(ring("k2")).decode([await encrypted()])


async def test_another_key_under_the_same_id_is_named() -> None:
    with pytest.raises(UndecryptablePayloadError, match="payload of key k1: another key has this id"):
        await EncryptionCodec(PayloadKeyRing([Key("k1", secret_of("other"))], "k1")).decode([await encrypted()])


def flip(position: int) -> Callable[[Payload], None]:
    def change(payload: Payload) -> None:
        data = bytearray(payload.data)
        data[position] ^= 1
        payload.data = bytes(data)

    return change


def under_another_key(payload: Payload) -> None:
    payload.metadata[KEY_ID_FIELD] = b"k2"


def cut(payload: Payload) -> None:
    payload.data = payload.data[:-1]


@pytest.mark.parametrize(
    "change", [flip(0), flip(NONCE_BYTES), flip(-1), cut, under_another_key], ids=lambda each: each.__name__
)
async def test_a_changed_payload_is_refused(change: Callable[[Payload], None]) -> None:
    payload = await encrypted()
    change(payload)
    with pytest.raises(UndecryptablePayloadError):
        await EncryptionCodec(ring("k1", "k2")).decode([payload])


async def test_the_metadata_is_bound_also_if_two_ids_had_the_same_key() -> None:
    payload = await encrypted()
    payload.metadata[KEY_ID_FIELD] = b"k2"
    with pytest.raises(UndecryptablePayloadError):
        await EncryptionCodec(PayloadKeyRing([Key("k2", secret_of("k1"))], "k2")).decode([payload])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (KEY_ID_FIELD, b""),
        (KEY_ID_FIELD, b"no\nkey id"),
        (KEY_ID_FIELD, b"\xff"),
        (KEY_ID_FIELD, b"x" * 65),
        (CIPHER_FIELD, b"AES-256-GCM/2"),
        (CIPHER_FIELD, b""),
    ],
)
async def test_malformed_metadata_is_refused_and_not_shown(field: str, value: bytes) -> None:
    payload = await encrypted()
    payload.metadata[field] = value
    with pytest.raises(MalformedPayloadError) as refused:
        await EncryptionCodec(ring("k1")).decode([payload])
    assert "\n" not in str(refused.value)


async def test_a_payload_without_room_for_nonce_and_tag_is_refused() -> None:
    payload = await encrypted()
    payload.data = payload.data[: NONCE_BYTES + 15]
    with pytest.raises(MalformedPayloadError):
        await EncryptionCodec(ring("k1")).decode([payload])


def test_errors_fail_the_workflow_task_and_not_the_workflow() -> None:
    """The SDK ends the workflow on an ApplicationError; callers of the client handle RuntimeError."""
    assert issubclass(PayloadError, RuntimeError)
    assert not issubclass(PayloadError, ApplicationError)


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="a key must have exactly 32 bytes"):
        Key("k1", b"x" * length)


@pytest.mark.parametrize("key_id", ["", "K1", "a b", "-a", "x" * 65, "a\n"])
def test_a_malformed_key_id_is_refused(key_id: str) -> None:
    with pytest.raises(ValueError, match="a key id must be"):
        Key(key_id, secret_of("k1"))


def test_a_ring_refuses_the_same_key_twice_and_a_missing_active_key() -> None:
    with pytest.raises(ValueError, match="two key ids have the same key"):
        PayloadKeyRing([Key("k1", secret_of("k1")), Key("k2", secret_of("k1"))])
    with pytest.raises(ValueError, match="a key id is repeated"):
        PayloadKeyRing([Key("k1", secret_of("k1")), Key("k1", secret_of("k2"))])
    with pytest.raises(ValueError, match="the active key k2 is not among the keys"):
        ring("k1", active="k2")


def test_no_repr_shows_a_key() -> None:
    key = Key("k1", secret_of("k1"))
    assert repr(secret_of("k1"))[2:-1] not in repr(key)
    assert secret_of("k1").hex() not in repr(key)


def test_without_a_codec_the_converter_is_unchanged() -> None:
    assert data_converter(None) is DATA_CONVERTER
    assert DATA_CONVERTER.payload_codec is None


async def test_message_and_stack_trace_of_a_failure_are_encrypted() -> None:
    converter, failure = data_converter(EncryptionCodec(ring("k1"))), Failure()
    with pytest.raises(ApplicationError) as raised:
        raise ApplicationError(MARKER.decode(), {"detail": MARKER.decode()}, type="Kind")
    await converter.encode_failure(raised.value, failure)
    assert MARKER not in failure.SerializeToString()
    assert failure.stack_trace == ""
    restored = await converter.decode_failure(failure)
    assert isinstance(restored, ApplicationError)
    assert (restored.message, restored.type) == (MARKER.decode(), "Kind")
    assert list(restored.details) == [{"detail": MARKER.decode()}]
