"""The external system behind its three operations (contract, tables 1 to 4)."""

import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import aiohttp
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from yarl import URL

from connector.classify import classify
from connector.clean_connector import CleanConnector
from connector.exchange import Deadlines, exchange, progress_hooks
from contract.adjust import AdjustBody
from contract.cancel_adjust import CancelAdjustBody
from contract.cancel_operation import CancelOperationBody
from contract.operations import Operation, TraceCheck
from settlement.calls import CancelOperation, Verdict

_KEEP_ALIVE_S = 4.0
"""Below the 5 s after which common servers drop an idle connection. A POST on a connection that the
other side is just closing ends unknown, and would void an order for nothing."""


_TRACE_CONTEXT = TraceContextTextMapPropagator()


@dataclass(frozen=True)
class ExternalSystemConfig:
    """Where one external system is and how it undoes an adjust."""

    base_url: str = field(repr=False)
    """It may hold a password."""
    adjust_path: str = "/"
    cancel_adjust_path: str = "/get-user-amount"
    cancel_operation_path: str = "/global/tradeapi.app.OrderApiService.queryPBOOrderPage"
    cancel_operation: CancelOperation = Operation.CANCEL_ADJUST
    trace_check: TraceCheck = TraceCheck.STRICT
    ca_file: str | None = None
    """PEM bundle to verify the server with instead of the system's; verification cannot be turned off."""
    connections_max: int = 1000


@dataclass(frozen=True)
class CallHeaders:
    """What every call of one settlement carries in its headers."""

    trace: str
    company_id: int | None = None


class ExternalSystem:
    """A pooled client of one external system. Use it as an async context manager.

    Each method makes exactly one attempt and returns its verdict; none raises for what the external
    system does. Repeating is the caller's affair, safe only under the same requestUniqueNo.
    """

    def __init__(self, config: ExternalSystemConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=CleanConnector(
                limit=self._config.connections_max,
                keepalive_timeout=_KEEP_ALIVE_S,
                ssl=ssl.create_default_context(cafile=self._config.ca_file),
            ),
            # The one deadline is `exchange`'s own; the client's timeouts would only cut across it.
            timeout=aiohttp.ClientTimeout(total=None, connect=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[progress_hooks()],
            # A compressed reply could unfold without bound; we ask for none and unfold none.
            auto_decompress=False,
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def cancel_operation(self) -> CancelOperation:
        """Which operation `cancel_adjust` calls in this deployment."""
        return self._config.cancel_operation

    async def adjust(self, body: AdjustBody, headers: CallHeaders, deadlines: Deadlines) -> Verdict:
        """Send one adjust (contract, table 1). UNKNOWN means the credit may be adjusted."""
        return await self._call(self._config.adjust_path, _timed_headers(headers), json_bytes(body.wire()), deadlines)

    async def cancel_adjust(
        self, body: CancelAdjustBody | CancelOperationBody, headers: CallHeaders, deadlines: Deadlines
    ) -> Verdict:
        """Send one cancel (contract, tables 2 and 3). `classify.cancel_result` reads the verdict."""
        if isinstance(body, CancelOperationBody):
            path, sent = self._config.cancel_operation_path, _plain_headers(headers)
        else:
            path, sent = self._config.cancel_adjust_path, _timed_headers(headers)
        return await self._call(path, sent, json_bytes(body.wire()), deadlines)

    async def _call(self, path: str, headers: Mapping[str, str], body: bytes, deadlines: Deadlines) -> Verdict:
        if self._session is None:
            message = "ExternalSystem is used outside its context"
            raise RuntimeError(message)
        url = URL(self._config.base_url.rstrip("/") + path)
        own_trace = headers["trace"] if self._config.trace_check is TraceCheck.STRICT else None
        return classify(await exchange(self._session, url, headers, body, deadlines), own_trace)


def json_bytes(body: Mapping[str, str | int]) -> bytes:
    """Encode a body as compact UTF-8 JSON; equal bodies give equal bytes."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _traceparent() -> dict[str, str]:
    """Tie the call to the trace that it is part of; nothing where nothing is traced.

    `traceparent` alone: `tracestate` and baggage are text from elsewhere, and no affair of the external system.
    """
    carrier: dict[str, str] = {}
    _TRACE_CONTEXT.inject(carrier)
    return {"traceparent": carrier["traceparent"]} if "traceparent" in carrier else {}


def _plain_headers(headers: CallHeaders) -> dict[str, str]:
    sent = {"Content-Type": "application/json", "trace": headers.trace, **_traceparent()}
    if headers.company_id is not None:
        sent["companyId"] = str(headers.company_id)
    return sent


def _timed_headers(headers: CallHeaders) -> dict[str, str]:
    """Add `timestamp`, the moment of this very send in 13-digit ms; cancel operation has no such header."""
    return {**_plain_headers(headers), "timestamp": str(time.time_ns() // 1_000_000)}
