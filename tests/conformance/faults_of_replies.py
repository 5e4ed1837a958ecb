"""Faults of replies: each breaks one requirement of C-001 to C-009.

Each class is the imagined external system with one step done wrongly, as it happens in practice.
"""

import asyncio
import codecs
import gzip
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from conformance.connection import Connection, Endpoint
from conformance.exchange import Exchange, Request
from conformance.imagined import ImaginedSystem, http_bytes
from conformance.reading import http_reply
from contract.operations import CODE_SUCCESS

Fields = dict[str, Any]


class IsSlow(ImaginedSystem):
    """C-001: a reply takes 3.5 seconds."""

    async def transport(
        self, endpoint: Endpoint, request: Request, *, limit_s: float, connection: Connection | None = None
    ) -> Exchange:
        """Answer late."""
        made = await super().transport(endpoint, request, limit_s=limit_s, connection=connection)
        return replace(made, elapsed_s=3.5)


class ChangesFields(ImaginedSystem):
    """A system whose replies are changed."""

    def changed(self, fields: Fields) -> Fields:
        """Return the changed fields."""
        return fields

    def reply_fields(self, code: str, headers: Mapping[str, str]) -> Fields:
        """Return the changed fields."""
        return self.changed(super().reply_fields(code, headers))


class HasNumericCodes(ChangesFields):
    """C-002: success is the number 0."""

    def changed(self, fields: Fields) -> Fields:
        """Return a number for the code of a success."""
        return {**fields, "code": 0} if fields["code"] == CODE_SUCCESS else fields


class HasTextsForTimes(ChangesFields):
    """C-002: tm is a string."""

    def changed(self, fields: Fields) -> Fields:
        """Return a time as text."""
        return {**fields, "tm": "12"}


class HasListsForData(ChangesFields):
    """C-005: data without a result is a list, as PHP writes an empty array."""

    def changed(self, fields: Fields) -> Fields:
        """Return a list."""
        return {**fields, "data": []}


class SaysAlwaysOk(ChangesFields):
    """C-007: ok is true in a refusal."""

    def changed(self, fields: Fields) -> Fields:
        """Return ok."""
        return {**fields, "ok": True}


class HasOneTrace(ChangesFields):
    """C-008: trace is a constant."""

    def changed(self, fields: Fields) -> Fields:
        """Return a constant."""
        return {**fields, "trace": "0"}


class HasNoTrace(ChangesFields):
    """C-008: there is no trace."""

    def changed(self, fields: Fields) -> Fields:
        """Leave the trace out."""
        return {name: value for name, value in fields.items() if name != "trace"}


class MixesTraces(ImaginedSystem):
    """C-009: the trace is in a variable that all requests share."""

    trace = ""

    async def reply(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """Let other requests run between reading and answering."""
        self.trace = headers.get("trace", "")
        await asyncio.sleep(0)
        return await super().reply(path, {**headers, "trace": self.trace} if self.trace else headers, body)


class ChangesBytes(ImaginedSystem):
    """A system whose bodies are changed."""

    def body(self, body: bytes) -> bytes:
        """Return the changed body."""
        return body

    async def reply(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """Return the changed reply."""
        return http_bytes(self.body(http_reply(await super().reply(path, headers, body)).body))


class HasByteOrderMarks(ChangesBytes):
    """C-004: the body begins with a byte order mark."""

    def body(self, body: bytes) -> bytes:
        """Put the mark before it."""
        return codecs.BOM_UTF8 + body


class RepeatsNames(ChangesBytes):
    """C-004: the code is written twice."""

    def body(self, body: bytes) -> bytes:
        """Write another code before it."""
        return b'{"code":"1",' + body[1:]


class WritesLatin1(ChangesBytes):
    """C-004: the body is not UTF-8."""

    def body(self, body: bytes) -> bytes:
        """Write one byte that is not UTF-8."""
        return b'{"msg":"\xfc",' + body[1:]


class Compresses(ImaginedSystem):
    """C-006: a proxy compresses every body."""

    async def reply(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """Return a compressed body."""
        plain = http_reply(await super().reply(path, headers, body)).body
        return http_bytes(gzip.compress(plain), 200, "Content-Encoding: gzip")


class RefusesUnderOtherStatuses(ImaginedSystem):
    """C-003: a refusal has the status 409."""

    async def reply(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """Return the status by the code."""
        plain = http_reply(await super().reply(path, headers, body)).body
        return http_bytes(plain, 200 if json.loads(plain)["code"] == CODE_SUCCESS else 409)
