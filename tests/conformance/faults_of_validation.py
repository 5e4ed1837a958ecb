"""Faults of validation, and at the edges of what is valid: each breaks one requirement of C-020 to C-033.

Each class is the imagined external system with one step done wrongly, as it happens in practice.
"""

import json
from collections.abc import Mapping
from typing import Any

from conformance.imagined import ImaginedSystem
from contract.cancel_adjust import CancelAdjustRequest
from contract.operations import Operation
from contract.same_request import Identity

Fields = dict[str, Any]


class Repairs(ImaginedSystem):
    """A system that accepts wrong requests, because it repairs them first."""

    def repaired(self, fields: Fields) -> Fields:
        """Return the fields of an adjust as this system understands them."""
        return fields

    def read(self, operation: Operation, body: bytes) -> bytes:
        """Repair adjusts."""
        text = super().read(operation, body)
        fields = json.loads(text)
        is_adjust = operation is Operation.ADJUST and isinstance(fields, dict)
        return json.dumps(self.repaired(fields)).encode() if is_adjust else text


class HasDefaults(Repairs):
    """C-020: a missing ip has a default."""

    def repaired(self, fields: Fields) -> Fields:
        """Add the default."""
        return {"ip": "127.0.0.1", **fields}


class ConvertsTypes(Repairs):
    """C-021: a string with digits is read as an integer."""

    def repaired(self, fields: Fields) -> Fields:
        """Convert."""
        return {**fields, **{name: int(fields[name]) for name in ("orderId",) if isinstance(fields.get(name), str)}}


class AcceptsSigns(Repairs):
    """C-022: the sign is taken from the operationType."""

    def repaired(self, fields: Fields) -> Fields:
        """Change the sign."""
        amount = str(fields.get("amount"))
        is_wrong = fields.get("operationType") != "ABNORMAL_OVERTRADING" and amount.startswith("-12")
        return {**fields, "amount": amount[1:]} if is_wrong else fields


class IgnoresCase(Repairs):
    """C-023: operationType may be in lower case."""

    def repaired(self, fields: Fields) -> Fields:
        """Write it in capitals."""
        kind = fields.get("operationType")
        return {**fields, "operationType": kind.upper()} if isinstance(kind, str) else fields


class ReadsNumbers(Repairs):
    """C-024: an amount may be a JSON number."""

    def repaired(self, fields: Fields) -> Fields:
        """Write it as text."""
        return {**fields, "amount": str(fields["amount"])} if isinstance(fields.get("amount"), int | float) else fields


class TrimsAmounts(Repairs):
    """C-024: blanks around an amount are removed."""

    def repaired(self, fields: Fields) -> Fields:
        """Remove them."""
        return {**fields, "amount": fields["amount"].strip()} if isinstance(fields.get("amount"), str) else fields


class Rounds(Repairs):
    """C-025: decimals beyond amountDigits are rounded."""

    def repaired(self, fields: Fields) -> Fields:
        """Round one amount."""
        return {**fields, "amount": "12.50"} if fields.get("amount") == "12.505" else fields


class CutsNumbers(Repairs):
    """C-026: a number is cut to the width of its column."""

    def repaired(self, fields: Fields) -> Fields:
        """Cut it."""
        number = fields.get("requestUniqueNo")
        return {**fields, "requestUniqueNo": number[:48]} if isinstance(number, str) else fields


class ReadsSeconds(Repairs):
    """C-027: a time of ten digits is read as seconds."""

    def repaired(self, fields: Fields) -> Fields:
        """Convert it."""
        time = fields.get("requestTime")
        return {**fields, "requestTime": time * 1000} if time == 1_760_000_000 else fields


class IgnoresTimestamps(ImaginedSystem):
    """C-027: the header timestamp is not read."""

    def accepts_headers(self, headers: Mapping[str, str]) -> bool:
        """Look at the trace alone."""
        return super().accepts_headers({**headers, "timestamp": "1760000000000"})


class HasHomeCurrency(Repairs):
    """C-028: an amount in no currency is one in dollars."""

    def repaired(self, fields: Fields) -> Fields:
        """Choose a currency."""
        return {**fields, "currency": "USD"} if fields.get("currency") == "XXX" else fields


class NeedsNoTrace(ImaginedSystem):
    """C-029: the trace is optional."""

    def accepts_headers(self, headers: Mapping[str, str]) -> bool:
        """Look at the timestamp alone."""
        return super().accepts_headers({**headers, "trace": "x"})


class ReadsTheFirstObject(ImaginedSystem):
    """C-029: what follows the first JSON object is ignored."""

    def read(self, operation: Operation, body: bytes) -> bytes:
        """Read one object."""
        _, end = json.JSONDecoder().raw_decode(body.decode())
        return super().read(operation, body.decode()[:end].encode())


class RefusesUnknownFields(ImaginedSystem):
    """C-030: the body has exactly the fields of the table."""

    def read(self, operation: Operation, body: bytes) -> bytes:
        """Keep all fields, which the models refuse."""
        del operation
        return body


class HasFloatOrders(Repairs):
    """C-031: orderId is a float."""

    def repaired(self, fields: Fields) -> Fields:
        """Lose the last digits."""
        order = fields.get("orderId")
        if type(order) is not int or order >= 2**62:
            return fields
        return {**fields, "orderId": int(float(order))}

    def cancel_adjust(self, cancel: CancelAdjustRequest, company: int | None) -> str:
        """Compare floats."""
        return super().cancel_adjust(cancel.model_copy(update={"orderId": None}), company)


class IgnoresCaseOfNumbers(ImaginedSystem):
    """C-032: numbers are compared without their case, as in a database with such a collation."""

    def read(self, operation: Operation, body: bytes) -> bytes:
        """Write the numbers in lower case."""
        names = {"requestUniqueNo", "reverseRequestUniqueNo", "tx_reverse_id", "txid"}
        fields = json.loads(super().read(operation, body))
        if not isinstance(fields, dict):
            return body
        return json.dumps(
            {k: v.lower() if k in names and isinstance(v, str) else v for k, v in fields.items()}
        ).encode()


class HasFloatAmounts(ImaginedSystem):
    """C-033: amounts are compared as floats."""

    def repeated(self, number: str, identity: Identity) -> str:
        """Compare as floats."""
        first = self.adjusts[number][1]
        is_same = float(str(first["amount"])) == float(str(identity["amount"]))
        return super().repeated(number, {**identity, "amount": first["amount"]} if is_same else identity)
