"""The HTTP session of the connector: its connection pool, and what it does not do (retry, redirect, decompress)."""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp

from connector.exchange import progress_hooks

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

_KEEP_ALIVE_S = 4.0
"""Less than the 5 s after which common servers close an idle connection. A POST on a connection that the server is just
closing would end UNKNOWN and void its order without need."""


class CheckedConnectionPool(aiohttp.TCPConnector):
    """A connection pool that closes an idle connection with unread data instead of reusing it.

    Such data can be a reply that was sent twice. It would be read as the reply to the next order on that connection.
    aiohttp checks for unread data only when it puts a connection into the pool, so this class checks again when it
    takes one out. `_get` and `_conns` are private to aiohttp; a test over a real socket shows that the check works.
    """

    async def _get(self, key: "ConnectionKey", traces: "list[Trace]") -> "Connection | None":
        self._close_unread(key)
        return await super()._get(key, traces)

    def _close_unread(self, key: "ConnectionKey") -> None:
        idle = self._conns.get(key)
        if idle is None:
            return
        for entry in [entry for entry in idle if entry[0].should_close]:
            idle.remove(entry)
            entry[0].close()


class TlsFiles(NamedTuple):
    """The PEM files of one external system's TLS connections."""

    ca: str | None
    """Certificate authorities that replace the system's."""
    client_certificate: str | None
    client_key: str | None

    def contents(self) -> tuple[bytes | None, ...]:
        """Return the contents of the files, to notice a change. Raises OSError."""
        return tuple(Path(path).read_bytes() if path else None for path in self)

    def context(self) -> ssl.SSLContext:
        """Return the TLS context. Raises OSError (`ssl.SSLError` too is one) if a file cannot be read or used."""
        context = ssl.create_default_context(cafile=self.ca)
        if self.client_certificate is not None:
            # With a password the library does not ask the terminal for the one of an encrypted key, which is refused.
            context.load_cert_chain(self.client_certificate, self.client_key, password="")
        return context


def open_session(*, connections_max: int, tls: TlsFiles, keep_alive: bool) -> aiohttp.ClientSession:
    """Return a session for `exchange`. Raises OSError if a TLS file cannot be read or used."""
    pooling: dict[str, Any] = {"keepalive_timeout": _KEEP_ALIVE_S} if keep_alive else {"force_close": True}
    return aiohttp.ClientSession(
        connector=CheckedConnectionPool(limit=connections_max, ssl=tls.context(), **pooling),
        # `exchange` enforces the one deadline; the client's own timeouts would interfere with it.
        timeout=aiohttp.ClientTimeout(total=None, connect=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[progress_hooks()],
        # A small compressed reply can expand without limit, so the connector neither requests nor decompresses one.
        auto_decompress=False,
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
    )
