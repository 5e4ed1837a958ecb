"""The three operations of the external system as methods (docs/contract.md#operations)."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from yarl import URL

from connector.classify import NO_STATUSES, classify, with_declared_meaning
from connector.connection_pool import TlsFiles, open_session
from connector.exchange import Deadlines, exchange
from connector.message_signatures import MessageSigner
from contract.adjust import AdjustBody
from contract.cancel_adjust import CancelAdjustBody
from contract.cancel_operation import CancelOperationBody
from contract.operations import (
    ADJUST_PATH,
    CANCEL_ADJUST_PATH,
    CANCEL_OPERATION_PATH,
    CancelOperation,
    Operation,
    TraceCheck,
)
from settlement.calls import Rule, Verdict
from settlement.code_meanings import CodeMeaning
from settlement.states import Outcome

if TYPE_CHECKING:
    import aiohttp

_TRACE_CONTEXT = TraceContextTextMapPropagator()

HeaderSource = Callable[[], str | None]
"""Returns the current value of a header; None if it cannot be read, so that no call can be sent."""


@dataclass(frozen=True)
class ExternalSystemConfig:
    """The address of one external system, and how it undoes an adjust."""

    base_url: str = field(repr=False)
    """It may contain a password."""
    adjust_path: str = ADJUST_PATH
    cancel_adjust_path: str = CANCEL_ADJUST_PATH
    cancel_operation_path: str = CANCEL_OPERATION_PATH
    cancel_operation: CancelOperation = Operation.CANCEL_ADJUST
    trace_check: TraceCheck = TraceCheck.STRICT
    ca_file: str | None = None
    """PEM bundle that replaces the system's certificate authorities; verification cannot be turned off."""
    client_certificate_file: str | None = None
    client_key_file: str | None = None
    """PEM files with which we identify ourselves; both or none."""
    keep_alive: bool = True
    """Whether an idle connection is used for the next call."""
    headers: Mapping[str, HeaderSource] = field(default_factory=dict)
    """Further headers of every call. Their values are read for each call."""
    signer: MessageSigner | None = None
    """Signs every request; None: requests are not signed."""
    codes: Mapping[str, CodeMeaning] = field(default_factory=dict)
    """Meanings of codes in replies to cancels, beyond those of the contract."""
    business_statuses: frozenset[int] = NO_STATUSES
    """HTTP statuses under which a reply of table 4 with a code of failure is read as under 200."""
    connections_max: int = 1000

    @property
    def tls_files(self) -> TlsFiles:
        """The files that a TLS connection needs."""
        return TlsFiles(self.ca_file, self.client_certificate_file, self.client_key_file)


@dataclass(frozen=True)
class CallHeaders:
    """The header values of every call of one settlement."""

    trace: str
    company_id: int | None = None


class ExternalSystem:
    """A client of one external system, with a connection pool. Use it as an async context manager.

    Each method makes exactly one attempt and returns its verdict; nothing that the external system does raises an
    exception. The caller decides whether to repeat a call. That is safe only with the same requestUniqueNo.
    """

    def __init__(self, config: ExternalSystemConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def open(self) -> None:
        """Open the connection pool. Raises OSError if a TLS file cannot be read or used."""
        self._session = open_session(
            connections_max=self._config.connections_max, tls=self._config.tls_files, keep_alive=self._config.keep_alive
        )

    async def close(self) -> None:
        """Close the connection pool when the calls in flight have ended. Make no further call."""
        await self._idle.wait()
        if self._session is not None:
            await self._session.close()

    def why_unusable(self) -> str | None:
        """Return why no call can be sent now; None if calls can be sent."""
        all_headers = self._all_headers(self._config.base_url, {"trace": "0"}, b"")
        return all_headers if isinstance(all_headers, str) else None

    @property
    def cancel_operation(self) -> CancelOperation:
        """Which operation `cancel_adjust` calls."""
        return self._config.cancel_operation

    async def adjust(self, body: AdjustBody, headers: CallHeaders, deadlines: Deadlines) -> Verdict:
        """Send one adjust (docs/contract.md#table-1). UNKNOWN means that the credit may have been adjusted."""
        return await self._call(self._config.adjust_path, _timed_headers(headers), json_bytes(body.wire()), deadlines)

    async def cancel_adjust(
        self, body: CancelAdjustBody | CancelOperationBody, headers: CallHeaders, deadlines: Deadlines
    ) -> Verdict:
        """Send one cancel. `classify.cancel_result` interprets the verdict.

        A code that the configuration declares has its declared meaning.

        See docs/contract.md#table-2, docs/contract.md#table-3.
        """
        if isinstance(body, CancelOperationBody):
            path, http_headers = self._config.cancel_operation_path, _common_headers(headers)
        else:
            path, http_headers = self._config.cancel_adjust_path, _timed_headers(headers)
        verdict = await self._call(path, http_headers, json_bytes(body.wire()), deadlines)
        return with_declared_meaning(verdict, self._config.codes)

    async def _call(self, path: str, headers: Mapping[str, str], body: bytes, deadlines: Deadlines) -> Verdict:
        if self._session is None:
            message = "ExternalSystem must be used as an async context manager"
            raise RuntimeError(message)
        url = URL(self._config.base_url.rstrip("/") + path)
        all_headers = self._all_headers(str(url), headers, body)
        if isinstance(all_headers, str):
            return Verdict(outcome=Outcome.NOT_SENT, rule=Rule.NOT_CONFIGURED, detail=all_headers)
        own_trace = headers["trace"] if self._config.trace_check is TraceCheck.STRICT else None
        self._begin_call()
        try:
            answer = await exchange(self._session, url, all_headers, body, deadlines)
            return classify(answer, own_trace, self._config.business_statuses)
        finally:
            self._end_call()

    def _all_headers(self, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str] | str:
        """Return the headers of a call with the configured ones and the signature, or why there can be no call."""
        configured = {name: source() for name, source in self._config.headers.items()}
        missing = [name for name, value in configured.items() if value is None]
        if missing:
            return f"no secret for the header {', '.join(missing)}"
        all_headers = {**headers, **{name: value for name, value in configured.items() if value is not None}}
        if self._config.signer is None:
            return all_headers
        return self._config.signer.sign(url, all_headers, body) or "the key of the signature cannot be read or used"

    def _begin_call(self) -> None:
        self._calls += 1
        self._idle.clear()

    def _end_call(self) -> None:
        self._calls -= 1
        if self._calls == 0:
            self._idle.set()


def json_bytes(body: Mapping[str, str | int]) -> bytes:
    """Encode a body as compact UTF-8 JSON; equal bodies give equal bytes."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _traceparent() -> dict[str, str]:
    """Return the header `traceparent` of the current OpenTelemetry trace; empty if there is none.

    `tracestate` and baggage are not sent: they hold text from callers, which the external system must not see.
    """
    carrier: dict[str, str] = {}
    _TRACE_CONTEXT.inject(carrier)
    return {"traceparent": carrier["traceparent"]} if "traceparent" in carrier else {}


def _common_headers(headers: CallHeaders) -> dict[str, str]:
    http_headers = {"Content-Type": "application/json", "trace": headers.trace, **_traceparent()}
    if headers.company_id is not None:
        http_headers["companyId"] = str(headers.company_id)
    return http_headers


def _timed_headers(headers: CallHeaders) -> dict[str, str]:
    """Add `timestamp`, the time of this send in epoch ms, 13 digits; cancel operation does not have this header."""
    return {**_common_headers(headers), "timestamp": str(time.time_ns() // 1_000_000)}
