"""The HTTP session of the connector: its connection pool, and what it does not do (retry, redirect, decompress)."""

import ssl
from typing import TYPE_CHECKING

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


def open_session(*, connections_max: int, ca_file: str | None) -> aiohttp.ClientSession:
    """Return a session for `exchange`. `ca_file` is a PEM bundle; None: the system's certificate authorities."""
    return aiohttp.ClientSession(
        connector=CheckedConnectionPool(
            limit=connections_max,
            keepalive_timeout=_KEEP_ALIVE_S,
            ssl=ssl.create_default_context(cafile=ca_file),
        ),
        # `exchange` enforces the one deadline; the client's own timeouts would interfere with it.
        timeout=aiohttp.ClientTimeout(total=None, connect=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[progress_hooks()],
        # A small compressed reply can expand without limit, so the connector neither requests nor decompresses one.
        auto_decompress=False,
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
    )
