"""Signs requests with HTTP Message Signatures (RFC 9421)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms
from http_message_signatures.exceptions import HTTPMessageSignaturesException

from contract.signatures import SignatureAlgorithm

COVERED = ("@method", "@path", "content-digest", "trace")
"""What a signature covers, besides the time of its creation: method, path, body (by its digest) and trace."""

_ALGORITHMS: dict[SignatureAlgorithm, Any] = {
    SignatureAlgorithm.HMAC_SHA256: algorithms.HMAC_SHA256,
    SignatureAlgorithm.ED25519: algorithms.ED25519,
}


@dataclass
class _Message:
    """A request as the library reads and extends it."""

    method: str
    url: str
    headers: dict[str, str]


class _OneKey(HTTPSignatureKeyResolver):
    def __init__(self, key: bytes) -> None:
        self._key = key

    def resolve_private_key(self, key_id: str) -> bytes:  # noqa: ARG002 - the library's own signature
        return self._key


@dataclass(frozen=True)
class MessageSigner:
    """The key with which the requests to one external system are signed. The key is read for each request."""

    key_id: str
    algorithm: SignatureAlgorithm
    key: Callable[[], str | None] = field(repr=False)
    """Returns the current key; None if it cannot be read."""

    def sign(self, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str] | None:
        """Return the headers of a POST with Content-Digest, Signature-Input and Signature added.

        Returns None if the key cannot be read or used.
        """
        key = self.key()
        if key is None:
            return None
        message = _Message("POST", url, dict(headers))
        signer = HTTPMessageSigner(signature_algorithm=_ALGORITHMS[self.algorithm], key_resolver=_OneKey(key.encode()))
        try:
            signer.sign(message, key_id=self.key_id, covered_component_ids=COVERED, body=body)
        except (HTTPMessageSignaturesException, ValueError, TypeError):
            # The error may contain a part of the key.
            return None
        return message.headers
