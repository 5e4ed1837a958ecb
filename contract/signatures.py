"""The algorithms of HTTP Message Signatures (RFC 9421) with which requests can be signed, if a broker asks for it."""

from enum import StrEnum


class SignatureAlgorithm(StrEnum):
    """An algorithm, by its name in RFC 9421."""

    HMAC_SHA256 = "hmac-sha256"
    """The key is a secret that both sides have."""
    ED25519 = "ed25519"
    """The key is a private key as PEM; the broker has the public key."""
