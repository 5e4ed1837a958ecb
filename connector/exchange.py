"""One HTTP exchange: sends a request and returns the reply or the failure, within one deadline.

The deadline is one `asyncio.timeout` over the whole exchange. A client's read timeout is not enough: it restarts with
each chunk, so a reply that arrives byte by byte would never exceed it (docs/contract.md#deadline).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace

import aiohttp
from yarl import URL

from connector.retry_after import retry_after_s
from settlement.calls import Phase
from settlement.limits import ADJUST_DEADLINE_S, CONNECT_DEADLINE_S

REPLY_BYTES_MAX = 64 * 1024


@dataclass(frozen=True)
class Deadlines:
    """Limits of one exchange, in seconds."""

    connect_s: float
    """From the request for a connection until it is established; nothing is sent before."""
    reply_s: float
    """From the start of sending to the last byte of the reply."""


DEADLINES = Deadlines(connect_s=CONNECT_DEADLINE_S, reply_s=ADJUST_DEADLINE_S)
"""The deadlines of every call in production (docs/contract.md#rule-1)."""


@dataclass(frozen=True)
class Reply:
    """A reply that arrived in time: all of it, or as much as the size limit allows (`oversized`)."""

    status: int
    body: bytes
    oversized: bool = False
    retry_after_s: int | None = None
    """The header `Retry-After` in seconds; None if the reply has no such header, or an unreadable one."""


@dataclass(frozen=True)
class NotSent:
    """The request was certainly not sent."""

    detail: str
    phase: Phase | None = None
    """QUEUE or CONNECT; None if it failed before either, for example because of an invalid address."""


@dataclass(frozen=True)
class NoReply:
    """The request may have been sent, and no complete reply arrived."""

    deadline_passed: bool
    detail: str
    phase: Phase | None = None
    """FIRST_BYTE until the status line and headers of the reply have arrived, then BODY."""


Exchange = Reply | NotSent | NoReply


@dataclass
class _Progress:
    """The progress of one exchange; `progress_hooks` update it."""

    timeout: asyncio.Timeout
    reply_s: float
    phase: Phase | None = None
    restart: asyncio.Handle | None = None
    """The restart of the deadline that `begin_sending` has scheduled."""

    @property
    def sent(self) -> bool:
        """Whether the request counts as sent."""
        return self.phase in {Phase.FIRST_BYTE, Phase.BODY}

    def begin_sending(self) -> None:
        """Start or restart the deadline of the reply. From now on the request counts as sent.

        aiohttp calls its hooks before it writes, and writes before it yields to the event loop. So the deadline
        restarts once more in the next round of the loop, when the operating system has the bytes: a worker that is
        stopped between the hook and the write must not shorten the external system's time.
        """
        if not self.sent:  # a reply may begin before the request is sent completely
            self.phase = Phase.FIRST_BYTE
        self._restart_deadline()
        self.cancel_restart()
        self.restart = asyncio.get_running_loop().call_soon(self._restart_deadline)

    def cancel_restart(self) -> None:
        """Cancel a restart of the deadline that is still scheduled: the deadline of a finished exchange cannot move."""
        if self.restart:
            self.restart.cancel()

    def _restart_deadline(self) -> None:
        if not self.timeout.expired():
            self.timeout.reschedule(asyncio.get_running_loop().time() + self.reply_s)


async def _on_queued(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.phase = Phase.QUEUE


async def _on_connecting(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.phase = Phase.CONNECT


async def _on_sending(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.begin_sending()


def progress_hooks() -> aiohttp.TraceConfig:
    """Return aiohttp hooks that record the progress of an exchange, above all when sending begins.

    As soon as a connection is available, new or from the pool, the request counts as sent. The deadline of the reply
    starts then and restarts when the body is written: under load there can be a delay between the two, and the contract
    gives the external system its time from the send. (`on_request_headers_sent` runs before any byte is written.)
    """
    hooks = aiohttp.TraceConfig()
    hooks.on_connection_queued_start.append(_on_queued)
    hooks.on_connection_create_start.append(_on_connecting)
    hooks.on_connection_create_end.append(_on_sending)
    hooks.on_connection_reuseconn.append(_on_sending)
    hooks.on_request_chunk_sent.append(_on_sending)
    return hooks


async def exchange(
    session: aiohttp.ClientSession, url: URL, headers: Mapping[str, str], body: bytes, deadlines: Deadlines
) -> Exchange:
    """Post `body` once and return what happened; nothing that the external system does raises an exception.

    Redirects are not followed, and nothing is retried. At most `REPLY_BYTES_MAX` bytes are read.
    The session must have `progress_hooks` (`connection_pool.open_session`).
    """
    progress = _Progress(asyncio.timeout(deadlines.connect_s), deadlines.reply_s)
    try:
        async with progress.timeout:
            try:
                return await _post(session, url, headers, body, progress)
            finally:
                progress.cancel_restart()
    except TimeoutError:
        return _failed(progress, f"no connection within {deadlines.connect_s:g} s", deadline_passed=True)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return _failed(progress, _describe(error), deadline_passed=False)


async def _post(
    session: aiohttp.ClientSession, url: URL, headers: Mapping[str, str], body: bytes, progress: _Progress
) -> Reply:
    async with session.post(
        url, data=body, headers=headers, allow_redirects=False, trace_request_ctx=progress
    ) as response:
        progress.phase = Phase.BODY
        date = response.headers.get("Date")
        wait_s = retry_after_s(response.headers.getall("Retry-After", []), date, datetime.now(UTC))
        read = bytearray()
        async for chunk in response.content.iter_any():
            read += chunk
            if len(read) > REPLY_BYTES_MAX:
                response.close()
                return Reply(response.status, bytes(read[:REPLY_BYTES_MAX]), oversized=True, retry_after_s=wait_s)
        return Reply(response.status, bytes(read), retry_after_s=wait_s)


def _failed(progress: _Progress, detail: str, *, deadline_passed: bool) -> NotSent | NoReply:
    if not progress.sent:
        return NotSent(detail, progress.phase)
    if deadline_passed:
        detail = f"no whole reply within {progress.reply_s:g} s"
    return NoReply(deadline_passed, detail, progress.phase)


def _describe(error: Exception) -> str:
    """Describe a failure without anything secret: the type of the error and the operating system's text."""
    cause = error.strerror if isinstance(error, OSError) and error.strerror else ""
    return f"{type(error).__name__}: {cause}".rstrip(": ")
