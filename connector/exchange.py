"""One HTTP exchange: bytes out, bytes or a failure back, inside one deadline.

The deadline is one `asyncio.timeout` over the whole exchange and not a client's read timeout: those
start anew with every chunk, so that a dripping reply would outlive them (contract, interpretations).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import aiohttp
from yarl import URL

from settlement.calls import Phase
from settlement.limits import ADJUST_DEADLINE_S, CONNECT_DEADLINE_S

REPLY_BYTES_MAX = 64 * 1024


@dataclass(frozen=True)
class Deadlines:
    """Limits of one exchange, in seconds."""

    connect_s: float
    """From asking for a connection to having one; nothing is sent before."""
    reply_s: float
    """From the start of our send to the last byte of the reply."""


DEADLINES = Deadlines(connect_s=CONNECT_DEADLINE_S, reply_s=ADJUST_DEADLINE_S)
"""Those of every call in production (contract, rule 1)."""


@dataclass(frozen=True)
class Reply:
    """All of a reply arrived in time, or as much of it as the size limit allows."""

    status: int
    body: bytes
    oversized: bool = False


@dataclass(frozen=True)
class NotSent:
    """The request certainly never left this side."""

    detail: str
    phase: Phase | None = None
    """QUEUE or CONNECT; None where it failed before either, such as an address that is none."""


@dataclass(frozen=True)
class NoReply:
    """Sending may have begun, and no whole reply came back."""

    deadline_passed: bool
    detail: str
    phase: Phase | None = None
    """FIRST_BYTE or BODY. The reply has begun once its head is here as a whole."""


Exchange = Reply | NotSent | NoReply


@dataclass
class _Progress:
    """How far an exchange has come; `progress_hooks` write it."""

    timeout: asyncio.Timeout
    reply_s: float
    phase: Phase | None = None

    @property
    def sent(self) -> bool:
        """Whether the request counts as sent."""
        return self.phase in {Phase.FIRST_BYTE, Phase.BODY}

    def begin_sending(self) -> None:
        """Start the reply's deadline, or start it anew. From here on the request counts as sent."""
        if not self.sent:  # a reply may begin before the last of the request is written
            self.phase = Phase.FIRST_BYTE
        self.timeout.reschedule(asyncio.get_running_loop().time() + self.reply_s)


async def _on_queued(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.phase = Phase.QUEUE


async def _on_connecting(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.phase = Phase.CONNECT


async def _on_sending(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.begin_sending()


def progress_hooks() -> aiohttp.TraceConfig:
    """Return the hooks that tell an exchange how far it has come, and above all when sending begins.

    With a connection in hand, new or from the pool, the request counts as sent, whatever happens next.
    Its deadline then starts anew with the body's write: among many at once the two can lie apart, and the
    external system is promised its time from our send. (`on_request_headers_sent` comes before any byte
    is written.)
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
    """Post `body` once and return what happened; never raises for what the other side does.

    No redirect is followed and nothing is repeated. At most `REPLY_BYTES_MAX` bytes are read.
    The session must carry `progress_hooks`.
    """
    progress = _Progress(asyncio.timeout(deadlines.connect_s), deadlines.reply_s)
    try:
        async with progress.timeout:
            return await _post(session, url, headers, body, progress)
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
        read = bytearray()
        async for chunk in response.content.iter_any():
            read += chunk
            if len(read) > REPLY_BYTES_MAX:
                response.close()
                return Reply(response.status, bytes(read[:REPLY_BYTES_MAX]), oversized=True)
        return Reply(response.status, bytes(read))


def _failed(progress: _Progress, detail: str, *, deadline_passed: bool) -> NotSent | NoReply:
    if not progress.sent:
        return NotSent(detail, progress.phase)
    if deadline_passed:
        detail = f"no whole reply within {progress.reply_s:g} s"
    return NoReply(deadline_passed, detail, progress.phase)


def _describe(error: Exception) -> str:
    """Name the failure in words that cannot hold a secret: its kind and the system's own text."""
    cause = error.strerror if isinstance(error, OSError) and error.strerror else ""
    return f"{type(error).__name__}: {cause}".rstrip(": ")
