"""Sessions of browsers at the codec server: a cookie instead of an API key, because the Temporal UI sends no key."""

import base64
import binascii
import hashlib
import hmac
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import Request, Response

from config.payload_keys import FileKeys
from encryption.codec import EncryptionCodec

CODEC_PATH = "/v1/codec"
COOKIE = "settlement_codec"
SESSION_S = 8 * 3600
"""How long a session lasts. It ends earlier if its API key is revoked or expires."""
_NONCE_BYTES = 12
_EXPIRY = struct.Struct(">Q")
_PURPOSE = b"order-settlement codec session"


class BrowserSessions:
    """Makes and reads the cookie of a session. It contains the API key, encrypted under a key made from the pepper.

    So the server stores nothing, and each request checks the API key again: a revocation ends the session, too.
    """

    def __init__(self, pepper: bytes, clock: Callable[[], float] = time.time) -> None:
        self._cipher = AESGCM(hmac.digest(pepper, _PURPOSE, hashlib.sha256))
        self._clock = clock

    def token(self, api_key: str) -> str:
        """Return the value of a new cookie. It ends after `SESSION_S`."""
        nonce = os.urandom(_NONCE_BYTES)
        content = _EXPIRY.pack(int(self._clock()) + SESSION_S) + api_key.encode()
        return base64.urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, content, _PURPOSE)).decode()

    def api_key(self, token: str) -> str | None:
        """Return the API key of a session; None if the session has ended or the cookie is not one of ours."""
        try:
            sealed = base64.b64decode(token, altchars=b"-_", validate=True)
            content = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _PURPOSE)
        except (binascii.Error, InvalidTag, ValueError):
            return None
        (expires_at,) = _EXPIRY.unpack_from(content)
        return content[_EXPIRY.size :].decode() if self._clock() < expires_at else None


@dataclass(frozen=True)
class CodecServer:
    """What the codec server of this process needs. It exists only if payload keys are configured."""

    keys: FileKeys
    sessions: BrowserSessions
    ui_url: str | None
    """The Temporal UI. Only pages of its origin may use the codec server in a browser; None for no page."""

    @property
    def codec(self) -> EncryptionCodec:
        """The codec of this process."""
        return EncryptionCodec(self.keys)

    @property
    def ui_origin(self) -> str | None:
        """The origin of the Temporal UI, as browsers send it."""
        if self.ui_url is None:
            return None
        parts = urlsplit(self.ui_url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()

    def session_key(self, request: Request) -> str:
        """Return the API key of the session of a request; an empty text unless a page of the Temporal UI has sent it.

        A page of another site must not use a session, although the browser would send the cookie.
        """
        cookie = request.cookies.get(COOKIE)
        if cookie is None or request.headers.getlist("origin") != [self.ui_origin]:
            return ""
        return self.sessions.api_key(cookie) or ""

    def begin_session(self, response: Response, api_key: str) -> None:
        """Set the cookie. A browser sends it only to the codec server, and only from pages of the same site."""
        is_https = (self.ui_url or "").startswith("https:")
        response.set_cookie(
            COOKIE,
            self.sessions.token(api_key),
            max_age=SESSION_S,
            path=CODEC_PATH,
            secure=is_https,
            httponly=True,
            samesite="strict",
        )

    def end_session(self, response: Response) -> None:
        """Remove the cookie."""
        response.delete_cookie(COOKIE, path=CODEC_PATH, httponly=True, samesite="strict")
