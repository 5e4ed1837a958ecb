"""What the books hold about one number: its state, its row, the cancel that names it, its view as JSON."""

import json
import sqlite3
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Self

from contract.adjust import AdjustBody
from contract.cancel_adjust import CancelAdjustBody
from contract.cancel_operation import CancelOperationBody
from contract.fields import absolute
from contract.model import Model
from contract.same_request import (
    Identity,
    adjust_identity,
    cancel_adjust_identity,
    cancel_operation_identity,
    differences,
)
from simulator.replies import NUMBER_REUSED, Result


class NumberState(StrEnum):
    """What became of one adjust number."""

    NEVER_RECEIVED = "NEVER_RECEIVED"
    """Neither its adjust nor a cancel of it has come."""
    NOT_APPLIED = "NOT_APPLIED"
    """Received, without effect; it never will have one."""
    APPLIED = "APPLIED"
    """Received, and the customer's credit is changed."""
    REVERSED = "REVERSED"
    """Applied once, and given back once."""
    BURNT = "BURNT"
    """Cancelled before it came; should it come, it is refused."""


class ReceivedAdjust(AdjustBody):
    """An adjust together with the company that its header named; both are stored."""

    company_id: int | None = None

    @property
    def identity(self) -> Identity:
        """What tells a repeat of it from a reuse of its number."""
        return adjust_identity(self, self.company_id)


class Cancel(NamedTuple):
    """One cancel of either operation, reduced to what the books need."""

    number: str
    """The cancel's own unique number."""
    reverse_number: str
    """The number of the adjust to undo."""
    request: str
    """What it asks for in one fixed spelling, to tell a repeat from a reuse."""
    claims: tuple[tuple[str, object], ...]
    """What it says about the adjust; each has to be so."""

    @classmethod
    def by_cancel_adjust(cls, body: CancelAdjustBody, company_id: int | None = None) -> Self:
        """Read a cancel adjust (contract, table 2)."""
        claims = (
            ("thirdServerCode", body.thirdServerCode),
            ("userName", body.userName),
            ("currency", body.currency),
            ("orderId", body.orderId),
            ("amount", Decimal(body.amount)),
        )
        stated = tuple(claim for claim in claims if claim[1] is not None)
        return cls(
            body.requestUniqueNo,
            body.reverseRequestUniqueNo,
            _spelled(cancel_adjust_identity(body, company_id)),
            stated,
        )

    @classmethod
    def by_cancel_operation(cls, body: CancelOperationBody, company_id: int | None = None) -> Self:
        """Read a cancel operation, the deprecated variant (contract, table 3)."""
        request = _spelled(cancel_operation_identity(body, company_id))
        return cls(body.txid, body.tx_reverse_id, request, (("userName", body.username),))


def _spelled(identity: Identity) -> str:
    return json.dumps(identity, sort_keys=True)


class Receipt(NamedTuple):
    """The adjust that came under a number, and what a repeat of it is answered."""

    adjust: ReceivedAdjust
    result: Result

    def answer(self, repeat: ReceivedAdjust) -> Result:
        """Return the first result for the same request, and the refusal of a reused number for another one."""
        return NUMBER_REUSED if differences(self.adjust.identity, repeat.identity) else self.result


class Row(NamedTuple):
    """One number as the database keeps it."""

    number: str
    state: NumberState
    burnt: bool
    receipt: Receipt | None
    """None as long as no adjust has come."""
    times_applied: int
    times_reversed: int

    @classmethod
    def unknown(cls, number: str) -> Self:
        """Return the row of a number that the books have never met."""
        return cls(number, NumberState.NEVER_RECEIVED, burnt=False, receipt=None, times_applied=0, times_reversed=0)

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        """Read one row of the table `numbers`."""
        receipt = None
        if row["adjust"] is not None:
            receipt = Receipt(ReceivedAdjust.model_validate_json(row["adjust"]), Result(row["code"], row["msg"]))
        return cls(
            number=row["number"],
            state=NumberState(row["state"]),
            burnt=bool(row["burnt"]),
            receipt=receipt,
            times_applied=row["times_applied"],
            times_reversed=row["times_reversed"],
        )

    def received(self) -> Receipt:
        """Return what came under this number; raises LookupError if nothing did."""
        if self.receipt is None:
            raise LookupError(self.number)
        return self.receipt

    def columns(self) -> tuple[object, ...]:
        """Return the values of the table `numbers`, in its order."""
        receipt = self.receipt
        received = (receipt.adjust.model_dump_json(), *receipt.result) if receipt else (None, None, None)
        return (self.number, self.state, self.burnt, *received, self.times_applied, self.times_reversed)

    def contradictions(self, cancel: Cancel) -> list[str]:
        """Name the fields in which a cancel is wrong about this adjust; none while no adjust has come."""
        if self.receipt is None:
            return []
        adjust = self.receipt.adjust
        facts = adjust.model_dump() | {"amount": Decimal(absolute(adjust.amount))}
        return [field for field, claim in cancel.claims if facts[field] != claim]


class CancelView(Model):
    """One cancel that was carried out for a number, and the code it was answered."""

    request_unique_no: str
    code: str


class NumberView(Model):
    """What GET /simulator/numbers/{number} shows. Amount and account are null until the adjust has come."""

    request_unique_no: str
    state: NumberState
    burnt: bool
    """A cancel came before the adjust. With `timesApplied` above 0 only under land_late_unguarded."""
    times_applied: int
    times_reversed: int
    amount: str | None
    """As the adjust gave it, sign and all."""
    currency: str | None
    third_server_code: str | None
    landing_due_at_ns: int | None
    """When a postponed adjust will reach the books (epoch, ns); null when none is on its way."""
    cancels: tuple[CancelView, ...]
    """Every cancel recorded for it, oldest first; at most 1,000."""

    @classmethod
    def of(cls, row: Row, landing_due_at_ns: int | None, cancels: Sequence[sqlite3.Row]) -> Self:
        """Build the view of one row, its pending landing and its cancels."""
        adjust = row.receipt.adjust if row.receipt else None
        return cls(
            request_unique_no=row.number,
            state=row.state,
            burnt=row.burnt,
            times_applied=row.times_applied,
            times_reversed=row.times_reversed,
            amount=adjust.amount if adjust else None,
            currency=adjust.currency if adjust else None,
            third_server_code=adjust.thirdServerCode if adjust else None,
            landing_due_at_ns=landing_due_at_ns,
            cancels=tuple(CancelView(request_unique_no=cancel["number"], code=cancel["code"]) for cancel in cancels),
        )


class AccountView(Model):
    """One customer's credit in one currency."""

    third_server_code: str
    currency: str
    balance: str
    """An exact plain decimal string; negative where more was deducted than added."""
