"""Faults of adjusts and of their repeats: each breaks one requirement of C-010 to C-017.

Each class is the imagined external system with one step done wrongly, as it happens in practice.
"""

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from conformance.imagined import CODE_REFUSED, ImaginedSystem, http_bytes
from contract.adjust import AdjustRequest
from contract.operations import CODE_SUCCESS, Operation
from contract.same_request import Identity


class CannotLose(ImaginedSystem):
    """C-010: ABNORMAL_OVERTRADING ends in an error page."""

    async def reply(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """Fail for one operationType."""
        if b'"ABNORMAL_OVERTRADING"' in body and b'"amount":"-12.50"' in body:
            return http_bytes(b"<h1>Internal Server Error</h1>", 500)
        return await super().reply(path, headers, body)


class KnowsNoStopLoss(ImaginedSystem):
    """C-011: bizType 11 is refused."""

    def adjust(self, adjust: AdjustRequest, company: int | None) -> str:
        """Refuse one bizType."""
        return CODE_REFUSED if adjust.bizType.value == 11 else super().adjust(adjust, company)


class RefusesRepeats(ImaginedSystem):
    """C-012: a repeat is an error, as from a unique index."""

    def repeated(self, number: str, identity: Identity) -> str:
        """Refuse every used number."""
        del number, identity
        return CODE_REFUSED


class AppliesRepeats(ImaginedSystem):
    """C-012: a repeat moves the balance again."""

    def repeated(self, number: str, identity: Identity) -> str:
        """Apply it again."""
        code = super().repeated(number, identity)
        if code == CODE_SUCCESS:
            adjust = self.adjusts[number][0]
            self.move(adjust, Decimal(adjust.amount))
        return code


class ChecksBeforeItWaits(ImaginedSystem):
    """C-013: between the look-up of a number and its insert, other requests run."""

    async def reply(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """Apply a request that did not find its number, whatever has happened since."""
        number = _number(body)
        was_new = path == "/" and number not in self.adjusts
        await asyncio.sleep(0)
        if was_new and number in self.adjusts:
            adjust = self.adjusts[number][0]
            self.move(adjust, Decimal(adjust.amount))
        return await super().reply(path, headers, body)


class ForgetsNumbers(ImaginedSystem):
    """C-014: the fourth request after a number has been used does not find it: a cache that expires."""

    def repeated(self, number: str, identity: Identity) -> str:
        """Find the number only while the test's clock stands."""
        if self.clock > 0 and self.codes[number] == CODE_SUCCESS and number not in self.reversed:
            return CODE_REFUSED
        return super().repeated(number, identity)

    clock = 0.0
    """How long checks have waited, in seconds."""


class KnowsTraces(ImaginedSystem):
    """C-015: a request with a known trace is a repeat."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - those of the imagined system
        super().__init__(*arguments)
        self.numbers: dict[str, str] = {}

    async def reply(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """Answer as applied without looking at the number."""
        trace = headers.get("trace", "")
        first = self.numbers.setdefault(trace, _number(body))
        if path == "/" and trace and first != _number(body):
            return http_bytes(self.reply_fields(CODE_SUCCESS, headers))
        return await super().reply(path, headers, body)


class KnowsNumbersWithTraces(ImaginedSystem):
    """C-015: a used number with another trace is refused."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - those of the imagined system
        super().__init__(*arguments)
        self.traces: dict[str, str] = {}

    def code(self, operation: Operation, headers: Mapping[str, str], body: bytes) -> str:
        """Refuse another trace."""
        if operation is Operation.ADJUST and (number := _number(body)) in self.adjusts:
            if self.traces.setdefault(number, headers.get("trace", "")) != headers.get("trace", ""):
                return CODE_REFUSED
        elif operation is Operation.ADJUST:
            self.traces[_number(body)] = headers.get("trace", "")
        return super().code(operation, headers, body)


class TrustsNumbers(ImaginedSystem):
    """C-016: every request with a used number is a repeat."""

    def repeated(self, number: str, identity: Identity) -> str:
        """Answer by the number alone."""
        del identity
        return self.codes[number]


class IgnoresOrders(ImaginedSystem):
    """C-016: orderId is not compared."""

    def repeated(self, number: str, identity: Identity) -> str:
        """Compare everything else."""
        return super().repeated(number, {**identity, "orderId": self.adjusts[number][1]["orderId"]})


class ComparesSpellings(ImaginedSystem):
    """C-017: the amounts of repeats are compared as texts."""

    def adjust(self, adjust: AdjustRequest, company: int | None) -> str:
        """Compare the texts."""
        first = self.adjusts.get(adjust.requestUniqueNo)
        return CODE_REFUSED if first and first[0].amount != adjust.amount else super().adjust(adjust, company)


class ComparesTimes(ImaginedSystem):
    """C-017: requestTime identifies a repeat."""

    def adjust(self, adjust: AdjustRequest, company: int | None) -> str:
        """Compare the times."""
        first = self.adjusts.get(adjust.requestUniqueNo)
        return CODE_REFUSED if first and first[0].requestTime != adjust.requestTime else super().adjust(adjust, company)


def _number(body: bytes) -> str:
    try:
        return str(json.loads(body).get("requestUniqueNo"))
    except (ValueError, AttributeError):
        return ""
