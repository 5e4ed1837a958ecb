"""A connection pool that never hands out a connection on which something waits to be read."""

from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


class CleanConnector(aiohttp.TCPConnector):
    """Drops idle connections on which the other side spoke unasked.

    A stray reply, sent twice by a broker or by something on the way, would otherwise be read as the
    answer to the next order on that connection. aiohttp looks at this when a connection goes into the
    pool, not when it comes out; the two methods here are its own, and a test over a real socket holds
    them in place.
    """

    async def _get(self, key: "ConnectionKey", traces: "list[Trace]") -> "Connection | None":
        self._drop_unclean(key)
        return await super()._get(key, traces)

    def _drop_unclean(self, key: "ConnectionKey") -> None:
        idle = self._conns.get(key)
        if idle is None:
            return
        for entry in [entry for entry in idle if entry[0].should_close]:
            idle.remove(entry)
            entry[0].close()
