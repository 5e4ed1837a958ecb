"""Signed requests (RFC 9421): the broker can verify method, path, body, trace and time with the key that it has."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms
from http_message_signatures.exceptions import HTTPMessageSignaturesException

from connector import ExternalSystem, ExternalSystemConfig, MessageSigner
from contract.signatures import SignatureAlgorithm
from settlement.calls import Rule
from settlement.states import Outcome
from tests.unit.connector.raw_broker import Request, adjust, broker, reply, sending

SHARED = "Xk29-correct-horse-battery-staple-71"
PRIVATE = Ed25519PrivateKey.generate()
PEM = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
HMAC, ED25519 = SignatureAlgorithm.HMAC_SHA256, SignatureAlgorithm.ED25519
LIBRARY = {HMAC: algorithms.HMAC_SHA256, ED25519: algorithms.ED25519}
CASES = [(HMAC, SHARED, SHARED.encode()), (ED25519, PEM, PUBLIC)]


@dataclass
class Received:
    """A request as the library reads it."""

    method: str
    url: str
    headers: dict[str, str]


class Keys(HTTPSignatureKeyResolver):
    """The broker's keys."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def resolve_public_key(self, key_id: str) -> bytes:
        """Return the key of the one client."""
        assert key_id == "settlement-1"
        return self._key


def verify(request: Request, algorithm: SignatureAlgorithm, key: bytes, url: str) -> set[str]:
    """Verify a request as a broker does, and return what its signature covers."""
    method, path, _ = request.line.split(" ")
    received = Received(method, url + path, request.headers)
    verifier = HTTPMessageVerifier(signature_algorithm=LIBRARY[algorithm], key_resolver=Keys(key))
    [result] = verifier.verify(received, body=request.body)
    assert "created" in result.parameters
    return {name.strip('"') for name in result.covered_components}


def signer(algorithm: SignatureAlgorithm, key: Callable[[], str | None]) -> MessageSigner:
    return MessageSigner("settlement-1", algorithm, key)


@pytest.mark.parametrize(("algorithm", "key", "broker_key"), CASES, ids=["hmac", "ed25519"])
async def test_broker_verifies_the_signature(algorithm: SignatureAlgorithm, key: str, broker_key: bytes) -> None:
    async with broker(sending(reply())) as there:
        config = ExternalSystemConfig(there.url, adjust_path="/adjust", signer=signer(algorithm, lambda: key))
        async with ExternalSystem(config) as system:
            assert (await adjust(system)).outcome is Outcome.APPLIED
        [request] = there.requests
        covered = verify(request, algorithm, broker_key, there.url)
        assert covered == {"@method", "@path", "content-digest", "trace", "@signature-params"}
        changed = json.dumps(json.loads(request.body) | {"amount": "99.00"}).encode()
        for forged in (
            replace(request, body=changed),
            replace(request, headers=request.headers | {"trace": "t-2"}),
            replace(request, line=request.line.replace("/adjust", "/cancel")),
        ):
            with pytest.raises(HTTPMessageSignaturesException):
                verify(forged, algorithm, broker_key, there.url)


async def test_rotated_key_signs_the_next_request() -> None:
    keys = iter(["first", "second"])
    async with broker(sending(reply())) as there:
        async with ExternalSystem(ExternalSystemConfig(there.url, signer=signer(HMAC, lambda: next(keys)))) as system:
            for _ in range(2):
                await adjust(system)
        for request, key in zip(there.requests, (b"first", b"second"), strict=True):
            verify(request, HMAC, key, there.url)


@pytest.mark.parametrize(("algorithm", "key"), [(HMAC, None), (ED25519, None), (ED25519, SHARED)])
async def test_without_a_usable_key_nothing_is_sent(algorithm: SignatureAlgorithm, key: str | None) -> None:
    async with broker(sending(reply())) as there:
        async with ExternalSystem(ExternalSystemConfig(there.url, signer=signer(algorithm, lambda: key))) as system:
            verdict = await adjust(system)
            assert system.why_unusable() == verdict.detail
        assert there.requests == []
    assert (verdict.outcome, verdict.rule) == (Outcome.NOT_SENT, Rule.NOT_CONFIGURED)
    assert verdict.detail == "the key of the signature cannot be read or used"
    assert SHARED not in repr(signer(algorithm, lambda: key))
