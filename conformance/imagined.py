"""An imagined external system that keeps the contract: with it a check runs without sending anything.

So the kit can show the requests of a check as curl commands: the check goes on to its last request, as it does at an
external system that meets the requirement. The rules come from `contract/`; the books are in memory. Every step is a
method, so that the tests of the checks can break one of them.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from conformance.connection import Connection, Endpoint
from conformance.exchange import Exchange, Request
from conformance.kit import filled
from conformance.reading import http_reply
from conformance.target import Target
from contract.adjust import AdjustRequest
from contract.cancel_adjust import CancelAdjustRequest
from contract.cancel_operation import CancelOperationRequest, reverse_type_of
from contract.fields import absolute, canonical_amount
from contract.operations import CODE_NEVER_RECEIVED, CODE_NOT_APPLIED, CODE_SUCCESS, Operation
from contract.same_request import Identity, adjust_identity, cancel_adjust_identity, cancel_operation_identity

CODE_REFUSED = "REFUSED"
_MODELS: dict[Operation, type[BaseModel]] = {
    Operation.ADJUST: AdjustRequest,
    Operation.CANCEL_ADJUST: CancelAdjustRequest,
    Operation.CANCEL_OPERATION: CancelOperationRequest,
}
_EXACT = Context(prec=120)
_STATED = ("thirdServerCode", "userName", "currency", "orderId")


class ImaginedSystem:
    """The imagined external system. `transport` takes the place of `conformance.exchange.send`."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.adjusts: dict[str, tuple[AdjustRequest, Identity]] = {}
        """Every adjust that was received, with its identity, by its number."""
        self.codes: dict[str, str] = {}
        """The code of the first reply to an adjust, by its number; a burnt number has that of a refusal."""
        self.cancels: dict[str, tuple[Identity, str]] = {}
        self.reversed: set[str] = set()
        self.balances: dict[tuple[str, str], Decimal] = {}

    async def transport(
        self, endpoint: Endpoint, request: Request, *, limit_s: float, connection: Connection | None = None
    ) -> Exchange:
        """Answer a request at once, without sending it."""
        del endpoint, limit_s, connection
        head, _, body = request.bytes.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        method, path, _ = first.split(" ", 2)
        received = http_bytes(self._balance(path)) if method == "GET" else await self.reply(path, headers, body)
        now, status = datetime.now(UTC), http_reply(received).status
        return Exchange(request.label, now, request.bytes, received, 0.0, None, status, request.curl)

    async def reply(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """Return the bytes of the reply to one request."""
        operations = {urlsplit(self.target.url_of(each)).path or "/": each for each in reversed(Operation)}
        return http_bytes(self.reply_fields(self.code(operations[path], headers, body), headers))

    def reply_fields(self, code: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the fields of a reply with a code."""
        is_success = code == CODE_SUCCESS
        return {"code": code, "trace": headers.get("trace", ""), "data": {}, "ok": is_success, "fail": not is_success}

    def code(self, operation: Operation, headers: Mapping[str, str], body: bytes) -> str:
        """Carry out one request, and return the code of its reply."""
        company = int(headers["companyid"]) if "companyid" in headers else None
        if operation is not Operation.CANCEL_OPERATION and not self.accepts_headers(headers):
            return CODE_REFUSED
        try:
            fields = self.read(operation, body)
            if operation is Operation.ADJUST:
                return self.adjust(AdjustRequest.model_validate_json(fields), company)
            if operation is Operation.CANCEL_ADJUST:
                return self.cancel_adjust(CancelAdjustRequest.model_validate_json(fields), company)
            return self.cancel_operation(CancelOperationRequest.model_validate_json(fields), company)
        except ValueError:  # also pydantic's ValidationError
            return CODE_REFUSED

    def accepts_headers(self, headers: Mapping[str, str]) -> bool:
        """Tell whether trace and timestamp keep the rules."""
        is_timely = re.fullmatch("[0-9]{13}", headers.get("timestamp", "").strip())
        return bool(headers.get("trace", "").strip() and is_timely)

    def read(self, operation: Operation, body: bytes) -> bytes:
        """Return the JSON text of a body without the fields that the contract does not have."""
        fields = json.loads(body)
        if not isinstance(fields, dict):
            return body
        return json.dumps({name: fields[name] for name in fields if name in _MODELS[operation].model_fields}).encode()

    def adjust(self, adjust: AdjustRequest, company: int | None) -> str:
        """Receive an adjust; return its code."""
        number, identity = adjust.requestUniqueNo, adjust_identity(adjust, company)
        if number in self.adjusts:
            return self.repeated(number, identity)
        self.adjusts[number] = (adjust, identity)
        hook = self.target.refused
        is_refused = hook is not None and all(getattr(adjust, name) == value for name, value in hook.changes().items())
        self.codes.setdefault(number, CODE_REFUSED if is_refused else CODE_SUCCESS)
        if self.codes[number] == CODE_SUCCESS:
            self.move(adjust, Decimal(adjust.amount))
        return self.codes[number]

    def repeated(self, number: str, identity: Identity) -> str:
        """Return the code of an adjust whose number was used before."""
        return self.codes[number] if self.adjusts[number][1] == identity else CODE_REFUSED

    def cancel_adjust(self, cancel: CancelAdjustRequest, company: int | None) -> str:
        """Receive a cancel adjust; return its code."""
        found = self.adjusts.get(cancel.reverseRequestUniqueNo)
        if found is not None:
            adjust = found[0]
            stated = {name: getattr(cancel, name) for name in _STATED if getattr(cancel, name) is not None}
            is_same = all(getattr(adjust, name) == value for name, value in stated.items())
            if not is_same or canonical_amount(absolute(adjust.amount)) != canonical_amount(cancel.amount):
                return CODE_REFUSED
        identity = cancel_adjust_identity(cancel, company)
        return self.cancel(cancel.requestUniqueNo, cancel.reverseRequestUniqueNo, identity)

    def cancel_operation(self, cancel: CancelOperationRequest, company: int | None) -> str:
        """Receive a cancel operation; return its code."""
        found = self.adjusts.get(cancel.tx_reverse_id)
        if found is not None:
            adjust = found[0]
            if (adjust.userName, reverse_type_of(adjust.bizType)) != (cancel.username, cancel.reverse_type):
                return CODE_REFUSED
        return self.cancel(cancel.txid, cancel.tx_reverse_id, cancel_operation_identity(cancel, company))

    def cancel(self, own_number: str, number: str, identity: Identity) -> str:
        """Carry out a cancel of either operation; return its code."""
        first = self.cancels.get(own_number)
        if first is not None:
            return first[1] if first[0] == identity else CODE_REFUSED
        code = self.reversal(number)
        self.cancels[own_number] = (identity, code)
        return code

    def reversal(self, number: str) -> str:
        """Reverse an adjust, if there is something to reverse; return the code."""
        if number not in self.adjusts:
            self.codes[number] = CODE_REFUSED
            return CODE_NEVER_RECEIVED
        if self.codes[number] != CODE_SUCCESS:
            return CODE_NOT_APPLIED
        if number not in self.reversed:
            self.reversed.add(number)
            adjust = self.adjusts[number][0]
            self.move(adjust, -Decimal(adjust.amount))
        return CODE_SUCCESS

    def move(self, adjust: AdjustRequest, change: Decimal) -> None:
        """Change the balance of an adjust's account."""
        account = (adjust.thirdServerCode, adjust.currency)
        self.balances[account] = _EXACT.add(self.balances.get(account, Decimal(0)), change)

    def _balance(self, path: str) -> object:
        """Return a document with the balance of a URL at the user's JSON pointer; an empty one without a balance."""
        source = self.target.balance
        if source is None:
            return {}
        for account, balance in self.balances.items():
            url = urlsplit(filled(source.url, *account, is_url=True))
            if path in {f"{url.path}?{url.query}", url.path}:
                return _document(filled(source.pointer, *account, is_url=False).split("/")[1:], format(balance, "f"))
        return {}


def http_bytes(document: object, status: int = 200, *headers: str) -> bytes:
    """Return the bytes of a reply with a JSON document, or with the bytes of a body."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    lines = [f"HTTP/1.1 {status} ", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def _document(parts: list[str], value: str) -> object:
    """Return a JSON document that has a value at the parts of a pointer."""
    if not parts:
        return value
    inner = _document(parts[1:], value)
    if parts[0].isdecimal():
        return [None] * int(parts[0]) + [inner]
    return {parts[0].replace("~1", "/").replace("~0", "~"): inner}
