"""The journal: every request received, in order, and how it ended; the database keeps the newest 100,000."""

import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic_core import from_json

from contract.model import Model
from contract.operations import Operation
from simulator.database import fetch_all, transaction

CALLS_MAX = 100_000
COMPANY_ID = re.compile(r"-?[0-9]{1,19}")

_OWN_NUMBER = {
    Operation.ADJUST: "requestUniqueNo",
    Operation.CANCEL_ADJUST: "requestUniqueNo",
    Operation.CANCEL_OPERATION: "txid",
}
_CALLS = "SELECT *, number AS request_unique_no, reverse_number AS reverse_request_unique_no FROM calls"
_REVERSE_NUMBER = {Operation.CANCEL_ADJUST: "reverseRequestUniqueNo", Operation.CANCEL_OPERATION: "tx_reverse_id"}


class ConnectionEnding(StrEnum):
    """How one request ended."""

    REPLIED = "replied"
    """The complete reply was sent to the network."""
    CLIENT_DISCONNECTED = "client_disconnected"
    """The client closed the connection before the complete reply was sent."""
    RESET = "reset"
    """The simulator reset the connection, because of a fault."""
    CUT = "cut"
    """The simulator closed the connection in the middle of the reply, because of a fault."""
    TIMED_OUT = "timed_out"
    """The simulator held the request open for `hold_max_s` seconds and then reset the connection."""
    SIMULATOR_STOPPED = "simulator_stopped"
    """The simulator stopped, or was killed, while the request was in flight."""


@dataclass(frozen=True)
class Request:
    """One request of the contract's three operations, as received."""

    operation: Operation
    received_ns: int
    """When its first bytes arrived: epoch, ns."""
    headers: Mapping[str, str]
    body: bytes
    ambiguities: tuple[str, ...] = ()
    """Problems of headers and query that make their meaning unclear (`strict.py`); each names its field."""

    def header(self, name: str) -> str | None:
        """Return a header's value; None if it is absent or blank."""
        text = self.headers.get(name, "").strip()
        return text or None

    @property
    def trace(self) -> str | None:
        """The header `trace`; None if it is absent."""
        return self.header("trace")

    @property
    def company_id(self) -> str | None:
        """The header `companyId` as text; None if it is absent."""
        return self.header("companyId")

    @property
    def company(self) -> int | None:
        """The header `companyId` as a number; None if it is absent or not an integer (cancel operation allows that)."""
        text = self.company_id or ""
        return int(text) if COMPANY_ID.fullmatch(text) else None

    def numbers(self) -> tuple[str | None, str | None]:
        """Return the request's own number and the number that it reverses; None for each that cannot be read."""
        try:
            fields = from_json(self.body)
        except ValueError:
            return None, None
        names = (_OWN_NUMBER[self.operation], _REVERSE_NUMBER.get(self.operation, ""))
        found = [fields.get(name) if isinstance(fields, dict) else None for name in names]
        own, reverse = (value if isinstance(value, str) else None for value in found)
        return own, reverse


class CallView(Model):
    """One request as GET /simulator/calls shows it. Times are epoch nanoseconds."""

    id: int
    operation: Operation
    request_unique_no: str | None
    """Its own number (`txid` of a cancel operation)."""
    reverse_request_unique_no: str | None
    """The number of the adjust that a cancel reverses."""
    received_at_ns: int
    trace: str | None
    company_id: str | None
    timestamp: str | None
    body: str
    """As received; bytes that are not UTF-8 are replaced."""
    fault: str | None
    """The fault that was applied, such as `adjust:hang`, `cancel:fail` or `outage:refuse`; null if none was."""
    http_status: int | None
    """Null if no status line was sent."""
    reply_code: str | None
    """The code of the reply of table 4; null if no such reply was sent completely."""
    ended_at_ns: int | None
    ended: ConnectionEnding | None
    """Null while the request is in flight."""


class CallJournal:
    """The record of all requests. It stores them and does not interpret them."""

    def __init__(self, connection: sqlite3.Connection, calls_max: int = CALLS_MAX) -> None:
        self._db = connection
        self._calls_max = calls_max

    def close_interrupted(self) -> None:
        """Mark requests that a killed process left in flight as ended; the time of their end is unknown."""
        with transaction(self._db):
            self._db.execute("UPDATE calls SET ended = ? WHERE ended IS NULL", (ConnectionEnding.SIMULATOR_STOPPED,))

    def begin(self, request: Request, fault: str | None) -> int:
        """Record a request and return its id; ids increase in the order of recording.

        Above `calls_max` requests the oldest is deleted.
        """
        headers = (request.trace, request.company_id, request.header("timestamp"))
        body = request.body.decode(errors="replace")
        with transaction(self._db):
            cursor = self._db.execute(
                "INSERT INTO calls (operation, number, reverse_number, received_at_ns, trace, company_id, timestamp, "
                "body, fault) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (request.operation, *request.numbers(), request.received_ns, *headers, body, fault),
            )
            call_id = cursor.lastrowid or 0
            self._db.execute("DELETE FROM calls WHERE id <= ?", (call_id - self._calls_max,))
        return call_id

    def end(
        self, call_id: int, ending: ConnectionEnding, ended_at_ns: int, http_status: int | None, code: str | None
    ) -> None:
        """Record how a request ended, and when (epoch, ns). A later call overwrites an earlier one."""
        with transaction(self._db):
            self._db.execute(
                "UPDATE calls SET ended = ?, ended_at_ns = ?, http_status = ?, reply_code = ? WHERE id = ?",
                (ending, ended_at_ns, http_status, code, call_id),
            )

    def calls(self, number: str | None, after: int, limit: int) -> list[CallView]:
        """Return at most `limit` requests with ids above `after`; of one `number` or of all (None)."""
        if number is None:
            rows = fetch_all(self._db, f"{_CALLS} WHERE id > ? ORDER BY id LIMIT ?", after, limit)
        else:
            statement = f"{_CALLS} WHERE id > ? AND (number = ? OR reverse_number = ?) ORDER BY id LIMIT ?"
            rows = fetch_all(self._db, statement, after, number, number, limit)
        return [CallView.model_validate(dict(row)) for row in rows]
