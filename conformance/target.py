"""The endpoint under test, and what the user has declared about it."""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from conformance.connection import Endpoint
from conformance.orders import Account
from contract.operations import (
    ADJUST_PATH,
    CANCEL_ADJUST_PATH,
    CANCEL_OPERATION_PATH,
    CODE_NEVER_RECEIVED,
    CODE_NOT_APPLIED,
    CODE_SUCCESS,
    CancelOperation,
    Operation,
)

HIDDEN = "***"
_SHORTEST_SECRET = 4
"""Shorter values are hidden only in their own header: they occur everywhere by chance."""


class Protocol(StrEnum):
    """The operations that cancel an adjust at this external system."""

    CANCEL_ADJUST = "cancel-adjust"
    CANCEL_OPERATION = "cancel-operation"
    BOTH = "both"


class Meaning(StrEnum):
    """What the code of a reply to a cancel says about the adjust."""

    REVERSED = "reversed"
    NOT_APPLIED = "not-applied"
    NEVER_RECEIVED = "never-received"
    IN_PROCESS = "in-process"
    REFUSED = "refused"
    """Every other code."""


CONTRACT_CODES: Mapping[str, Meaning] = {
    CODE_SUCCESS: Meaning.REVERSED,
    CODE_NOT_APPLIED: Meaning.NOT_APPLIED,
    CODE_NEVER_RECEIVED: Meaning.NEVER_RECEIVED,
}


@dataclass(frozen=True)
class Header:
    """A header that every request carries. Its value is a secret."""

    name: str
    value: str
    shell: str
    """The value in a shell command, for double quotes: a variable or a command that reads the file."""


@dataclass(frozen=True)
class Hook:
    """How an adjust is made that this broker refuses, or applies slowly: by its metadata or by its customer."""

    metadata: str | None = None
    customer: str | None = None

    def changes(self) -> dict[str, str]:
        """Return the fields of such an adjust."""
        chosen = {"metadata": self.metadata, "thirdServerCode": self.customer}
        return {name: value for name, value in chosen.items() if value is not None}


@dataclass(frozen=True)
class BalanceSource:
    """Where the balance of a customer can be read."""

    url: str
    """With the placeholders `{thirdServerCode}` and `{currency}`."""
    pointer: str
    """JSON pointer (RFC 6901) to the balance in the reply, with the same placeholders."""


@dataclass(frozen=True)
class Target:
    """The endpoint under test."""

    base_url: str
    adjust_path: str = ADJUST_PATH
    cancel_adjust_path: str = CANCEL_ADJUST_PATH
    cancel_operation_path: str = CANCEL_OPERATION_PATH
    protocol: Protocol = Protocol.BOTH
    company: int | None = None
    headers: tuple[Header, ...] = ()
    ca_file: Path | None = None
    codes: Mapping[str, Meaning] = field(default_factory=dict)
    business_statuses: frozenset[int] = frozenset()
    account: Account = field(default_factory=Account)
    refused: Hook | None = None
    slow: Hook | None = None
    balance: BalanceSource | None = None
    repeat_after_s: float = 60.0
    load_per_s: float = 5.0
    load_s: float = 10.0
    idle_s: float = 5.0
    races: int = 20
    seed: int = 1
    exchange_limit_s: float = 10.0

    @cached_property
    def endpoint(self) -> Endpoint:
        """Where connections go to. Raises OSError or ssl.SSLError if `ca_file` cannot be used."""
        return self.endpoint_of(self.base_url)

    def endpoint_of(self, url: str) -> Endpoint:
        """Return where connections for a URL go to."""
        parts = urlsplit(url)
        tls = self._tls if parts.scheme == "https" else None
        return Endpoint(parts.hostname or "", parts.port or (443 if tls else 80), tls)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file)

    def url_of(self, operation: Operation) -> str:
        """Return the URL of an operation."""
        paths = {
            Operation.ADJUST: self.adjust_path,
            Operation.CANCEL_ADJUST: self.cancel_adjust_path,
            Operation.CANCEL_OPERATION: self.cancel_operation_path,
        }
        return self.base_url.rstrip("/") + paths[operation]

    @property
    def plain_cancel(self) -> CancelOperation:
        """The operation that cancels an adjust where a check does not ask for a certain one."""
        return Operation.CANCEL_OPERATION if self.protocol is Protocol.CANCEL_OPERATION else Operation.CANCEL_ADJUST

    def meaning(self, code: str | None) -> Meaning | None:
        """Return what the code of a reply to a cancel means; None if there is no code."""
        if code is None:
            return None
        return CONTRACT_CODES.get(code) or self.codes.get(code) or Meaning.REFUSED

    def missing(self, needs: tuple[str, ...]) -> str | None:
        """Return the first of `Requirement.needs` that this target does not have; None if it has all of them."""
        given = {
            "--protocol cancel-adjust": self.protocol is not Protocol.CANCEL_OPERATION,
            "--protocol cancel-operation": self.protocol is not Protocol.CANCEL_ADJUST,
            "--protocol both": self.protocol is Protocol.BOTH,
            "--balance-url": self.balance is not None,
            "--refused-metadata": self.refused is not None and self.refused.metadata is not None,
            "--refused-customer": self.refused is not None and self.refused.customer is not None,
            "--slow-metadata": self.slow is not None and self.slow.metadata is not None,
            "--slow-customer": self.slow is not None and self.slow.customer is not None,
        }
        return next((need for need in needs if not any(given[option] for option in need.split(" or "))), None)

    def redact(self, data: bytes) -> bytes:
        """Replace the value of every secret header, as it is and as JSON text, by `***`."""
        for header in self.headers:
            name, value = header.name.encode(), header.value.encode("latin-1", "replace")
            data = data.replace(b"\r\n" + name + b": " + value + b"\r\n", b"\r\n" + name + b": ***\r\n")
            for shown in {value, json.dumps(header.value)[1:-1].encode()}:
                if len(shown) >= _SHORTEST_SECRET:
                    data = data.replace(shown, HIDDEN.encode())
        return data

    def redact_text(self, text: str) -> str:
        """Replace the value of every secret header by `***`."""
        for header in self.headers:
            for shown in (header.value, json.dumps(header.value)[1:-1], repr(header.value)[1:-1]):
                if len(shown) >= _SHORTEST_SECRET:
                    text = text.replace(shown, HIDDEN)
        return text
