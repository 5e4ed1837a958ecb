"""Faults of the reply: its time, its form and its trace."""

import asyncio
import codecs
import gzip
import itertools
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import ClassVar

from starlette.types import Receive, Scope, Send

from contract.operations import CODE_NEVER_RECEIVED, CODE_NOT_APPLIED, CODE_SUCCESS, Operation
from simulator.call_journal import Request
from simulator.delivery import Delivery
from simulator.payloads import Payload
from tests.conformance.mutants.mutant import Mutant, Plant, Reply, answering, mutant, sending, with_delivery

TOO_LATE_S = 3.2
_LOAD_WINDOW_S, _LOAD_MAX = 2.0, 6


class LateAtFirst(Delivery):
    """Sends the first two replies after 3.2 s, as a system does that loads everything with its first requests."""

    _late = itertools.repeat(None, 2)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, then send."""
        await _send_late_while_any(self._late)
        await super().__call__(scope, receive, send)


class LateUnderLoad(Delivery):
    """Sends replies after 3.2 s if more than 3 per second were due in the last 2 s, until it has more processes."""

    _latest: ClassVar[deque[float]] = deque(maxlen=_LOAD_MAX)
    _late = itertools.repeat(None, 5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait if there is load, then send."""
        now = time.monotonic()
        loaded = len(self._latest) == _LOAD_MAX and now - self._latest[0] < _LOAD_WINDOW_S
        self._latest.append(now)
        if loaded:
            await _send_late_while_any(self._late)
        await super().__call__(scope, receive, send)


async def _send_late_while_any(late: Iterator[None]) -> None:
    """Wait for 3.2 s if there is one left: more late replies would only cost time."""
    for _ in itertools.islice(late, 1):
        await asyncio.sleep(TOO_LATE_S)


class SharedTrace(Delivery):
    """Keeps the trace in one variable for all requests, and reads it 20 ms later."""

    _shared: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send with the trace of the request that arrived last."""
        SharedTrace._shared = self._request.trace
        await asyncio.sleep(0.02)
        others = {**self._request.headers, "trace": SharedTrace._shared or ""}
        self._request = replace(self._request, headers=others)
        await super().__call__(scope, receive, send)


def _is_refusal(reply: Reply) -> bool:
    return bool(reply["code"] != CODE_SUCCESS)


def _with(**fields: object) -> Plant:
    return answering(lambda reply, _: reply | fields)


def _success_with(**fields: object) -> Plant:
    return answering(lambda reply, _: reply if _is_refusal(reply) else reply | fields)


def _refusal_with(**fields: object) -> Plant:
    return answering(lambda reply, _: reply | fields if _is_refusal(reply) else reply)


def _bytes(change: Callable[[bytes], bytes]) -> Plant:
    """Change the bytes of each reply."""

    def changed(reply: Reply, _: Request, payload_of: Callable[[Reply], Payload]) -> Payload:
        payload = payload_of(reply)
        return replace(payload, content=change(payload.content))

    return sending(changed)


def _refusal_under_http_400(reply: Reply, _: Request, payload_of: Callable[[Reply], Payload]) -> Payload:
    return replace(payload_of(reply), status=400 if _is_refusal(reply) else 200)


def _applied_under_http_201(reply: Reply, request: Request, payload_of: Callable[[Reply], Payload]) -> Payload:
    created = request.operation is Operation.ADJUST and not _is_refusal(reply)
    return replace(payload_of(reply), status=201 if created else 200)


def _gzipped(reply: Reply, _: Request, payload_of: Callable[[Reply], Payload]) -> Payload:
    payload = payload_of(reply)
    headers = payload.headers | {"content-encoding": "gzip"}
    return replace(payload, content=gzip.compress(payload.content), headers=headers)


def _code_as_a_number(reply: Reply, _: Request) -> Reply:
    """Write codes of the simulator's own as numbers; those of the contract cannot be."""
    code = str(reply["code"])
    is_own = _is_refusal(reply) and code not in {CODE_NOT_APPLIED, CODE_NEVER_RECEIVED}
    return reply | {"code": int(code.removeprefix("US_"))} if is_own else reply


def _refusal_without_code(reply: Reply, _: Request, payload_of: Callable[[Reply], Payload]) -> Payload:
    payload = payload_of(reply)
    without = {name: value for name, value in reply.items() if name != "code"}
    return replace(payload, content=json.dumps(without).encode()) if _is_refusal(reply) else payload


def _with_repeated_key(content: bytes) -> bytes:
    return b'{"code": "US_0000999", ' + content.removeprefix(b"{")


def _with_nan(reply: Reply, _: Request) -> Reply:
    return reply | {"data": {"balance": float("nan")}}


def _in_latin_1(reply: Reply, _: Request, payload_of: Callable[[Reply], Payload]) -> Payload:
    text = json.dumps(reply | {"msg": "Betrag gutgeschrieben für den Kunden"}, ensure_ascii=False)
    return replace(payload_of(reply), content=text.encode("latin-1"))


def _trace_in_capitals(reply: Reply, _: Request) -> Reply:
    return reply | {"trace": str(reply["trace"]).upper()}


_ASKING_FOR_A_REFUSAL = (
    *(
        "C-016",
        "C-020",
        "C-021",
        "C-022",
        "C-023",
        "C-024",
        "C-025",
        "C-026",
        "C-027",
        "C-028",
        "C-029",
        "C-044",
        "C-047",
    ),
    *("C-051", "C-052", "C-053", "C-054", "C-055"),
)
"""The requirements that ask for a refusal, or for a code of a failure. A reply without a code is no refusal."""

REPLIES: dict[str, Mutant] = {
    "replies-after-3-s-at-first": mutant(with_delivery(LateAtFirst), "C-001"),
    "replies-after-3-s-under-load": mutant(with_delivery(LateUnderLoad), "C-001"),
    "time-as-a-string": mutant(_with(tm="12"), "C-002"),
    "code-of-a-refusal-as-a-number": mutant(answering(_code_as_a_number), "C-002"),
    "refusal-without-a-code": mutant(sending(_refusal_without_code), "C-002", *_ASKING_FOR_A_REFUSAL),
    "code-of-success-as-a-number": mutant(_success_with(code=0), "C-002"),
    "refusal-under-http-400": mutant(sending(_refusal_under_http_400), "C-003"),
    "applied-under-http-201": mutant(sending(_applied_under_http_201), "C-003"),
    "byte-order-mark": mutant(_bytes(lambda content: codecs.BOM_UTF8 + content), "C-004"),
    "repeated-json-key": mutant(_bytes(_with_repeated_key), "C-004"),
    "nan-in-data": mutant(answering(_with_nan), "C-004"),
    "latin-1": mutant(sending(_in_latin_1), "C-004"),
    "list-for-empty-data": mutant(_with(data=[]), "C-005"),
    "gzip-although-identity-is-asked": mutant(sending(_gzipped), "C-006"),
    "ok-contradicts-a-refusal": mutant(_refusal_with(ok=True, fail=False), "C-007"),
    "fail-contradicts-success": mutant(_with(fail=True), "C-007"),
    "constant-trace": mutant(_with(trace="0"), "C-008"),
    "trace-in-capitals": mutant(answering(_trace_in_capitals), "C-008"),
    "trace-of-16-characters": mutant(answering(lambda reply, _: reply | {"trace": reply["trace"][:16]}), "C-008"),
    "trace-of-another-request-under-concurrency": mutant(with_delivery(SharedTrace), "C-009"),
}
