"""An external system that costs as little as possible: `python -m bench.broker PORT`.

It answers every adjust and every cancel at once and keeps no books. Three directives in the `metadata` of an adjust
change that, in the words of the simulator: `reject`, `hang_applied` (the connection is held and never answered), and
none. It notes when each request arrived; `GET /calls` returns that.
"""

import asyncio
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from bench.hanging import HANGING
from contract.operations import ADJUST_PATH, CANCEL_ADJUST_PATH, CODE_SUCCESS
from stack.ports import HOST, free_port
from stack.process import Process

REJECTED = '{"simulate":{"adjust":"reject"}}'
REJECTION_CODE = "US_0000400"
CALLS_PATH = "/calls"


@dataclass
class Seen:
    """When the requests about one adjust arrived, in nanoseconds of one monotonic clock."""

    adjusts_ns: list[int] = field(default_factory=list)
    cut_off_ns: int | None = None
    """When the caller closed the connection of an adjust that hangs."""
    cancels_ns: list[int] = field(default_factory=list)

    @property
    def held_s(self) -> float | None:
        """From the arrival of an adjust that hangs to the end of its connection; None while it is held."""
        return (self.cut_off_ns - self.adjusts_ns[0]) / 1e9 if self.cut_off_ns and self.adjusts_ns else None

    @property
    def cancel_after_s(self) -> float | None:
        """From the arrival of the adjust to the arrival of its first cancel; None without a cancel."""
        return (self.cancels_ns[0] - self.adjusts_ns[0]) / 1e9 if self.adjusts_ns and self.cancels_ns else None


class Broker:
    """The handlers of the three paths."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}

    async def adjust(self, request: web.Request) -> web.Response:
        """Answer an adjust as its metadata says."""
        now = time.monotonic_ns()
        body = await request.json()
        seen = self._of(body["requestUniqueNo"])
        seen.adjusts_ns.append(now)
        metadata = body.get("metadata")
        if metadata == HANGING:
            try:
                await asyncio.Event().wait()
            finally:
                seen.cut_off_ns = time.monotonic_ns()
        return _reply(request, REJECTION_CODE if metadata == REJECTED else CODE_SUCCESS)

    async def cancel(self, request: web.Request) -> web.Response:
        """Answer a cancel with success."""
        now = time.monotonic_ns()
        self._of((await request.json())["reverseRequestUniqueNo"]).cancels_ns.append(now)
        return _reply(request, CODE_SUCCESS)

    async def calls(self, _: web.Request) -> web.Response:
        """Return what was seen of every number."""
        return web.json_response({number: asdict(seen) for number, seen in self._seen.items()})

    def _of(self, number: str) -> Seen:
        return self._seen.setdefault(number, Seen())


def _reply(request: web.Request, code: str) -> web.Response:
    succeeded = code == CODE_SUCCESS
    reply = {"code": code, "ok": succeeded, "fail": not succeeded, "trace": request.headers.get("trace")}
    return web.json_response(reply)


class RunningBroker:
    """The stub as a child process; its log is in `folder`."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = f"http://{HOST}:{port}"
        command = [sys.executable, "-m", "bench.broker", str(port)]
        self._process = Process("broker", command, {}, folder, self._is_ready)

    async def start(self) -> None:
        """Start it; raises StackError if it does not answer."""
        await self._process.start()

    async def stop(self) -> None:
        """End it, and what it has seen with it."""
        await self._process.kill()

    async def seen(self) -> dict[str, Seen]:
        """Return what it has seen, by the number of the adjust."""
        async with aiohttp.ClientSession(self.url) as session, session.get(CALLS_PATH) as response:
            return {number: Seen(**each) for number, each in (await response.json()).items()}

    async def _is_ready(self) -> bool:
        try:
            return await self.seen() == {}
        except aiohttp.ClientError:
            return False


def main() -> None:
    """Serve until the process is ended."""
    broker = Broker()
    app = web.Application()
    app.router.add_post(ADJUST_PATH, broker.adjust)
    app.router.add_post(CANCEL_ADJUST_PATH, broker.cancel)
    app.router.add_get(CALLS_PATH, broker.calls)
    # A handler that hangs must notice the end of its connection.
    web.run_app(app, host=HOST, port=int(sys.argv[1]), access_log=None, print=None, handler_cancellation=True)


if __name__ == "__main__":
    main()
