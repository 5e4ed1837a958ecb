"""The records of the books: an adjust number, the adjust and cancels under it, and their JSON views."""

import json
import sqlite3
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Self

from contract.adjust import AdjustBody
from contract.cancel_adjust import CancelAdjustBody
from contract.cancel_operation import CancelOperationBody, reverse_type_of
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
    """What happened to one adjust number."""

    NEVER_RECEIVED = "NEVER_RECEIVED"
    """Neither the adjust nor a cancel of it has been received."""
    NOT_APPLIED = "NOT_APPLIED"
    """The adjust was received and was not applied; it never will be."""
    APPLIED = "APPLIED"
    """The adjust was received, and the customer's balance was changed."""
    REVERSED = "REVERSED"
    """The adjust was applied once and reversed once."""
    BURNT = "BURNT"
    """A cancel was received before the adjust. If the adjust arrives later, it is refused."""


class ReceivedAdjust(AdjustBody):
    """An adjust together with the company of its header `companyId`; both are stored."""

    company_id: int | None = None

    @property
    def identity(self) -> Identity:
        """The fields that distinguish a repeat of this adjust from another adjust under the same number."""
        return adjust_identity(self, self.company_id)


class Cancel(NamedTuple):
    """One cancel of either operation, reduced to the fields that the books need."""

    number: str
    """The cancel's own unique number."""
    reverse_number: str
    """The number of the adjust to reverse."""
    request: str
    """Its identity as canonical JSON: equal for a repeat, different for another cancel under the same number."""
    stated_fields: tuple[tuple[str, object], ...]
    """The fields that the cancel states about its adjust, with their values; each must equal the adjust's."""

    @classmethod
    def by_cancel_adjust(cls, body: CancelAdjustBody, company_id: int | None = None) -> Self:
        """Read a cancel adjust (docs/contract.md#table-2)."""
        fields = (
            ("thirdServerCode", body.thirdServerCode),
            ("userName", body.userName),
            ("currency", body.currency),
            ("orderId", body.orderId),
            ("amount", Decimal(body.amount)),
        )
        stated = tuple((name, value) for name, value in fields if value is not None)
        return cls(
            body.requestUniqueNo,
            body.reverseRequestUniqueNo,
            _canonical_json(cancel_adjust_identity(body, company_id)),
            stated,
        )

    @classmethod
    def by_cancel_operation(cls, body: CancelOperationBody, company_id: int | None = None) -> Self:
        """Read a cancel operation, the deprecated variant (docs/contract.md#table-3)."""
        request = _canonical_json(cancel_operation_identity(body, company_id))
        stated = (("userName", body.username), ("reverse_type", body.reverse_type))
        return cls(body.txid, body.tx_reverse_id, request, stated)


def _canonical_json(identity: Identity) -> str:
    return json.dumps(identity, sort_keys=True)


class AdjustRecord(NamedTuple):
    """The first adjust that was received under a number, and its result, which every repeat gets."""

    adjust: ReceivedAdjust
    result: Result

    def result_for(self, later: ReceivedAdjust) -> Result:
        """Return the first result if `later` is a repeat; refuse it if it is another adjust under the same number."""
        return NUMBER_REUSED if differences(self.adjust.identity, later.identity) else self.result


class NumberRow(NamedTuple):
    """One adjust number as stored in the table `numbers`."""

    number: str
    state: NumberState
    burnt: bool
    received: AdjustRecord | None
    """None until the adjust is received."""
    times_applied: int
    times_reversed: int

    @classmethod
    def unknown(cls, number: str) -> Self:
        """Return the row of a number that the books do not contain."""
        return cls(number, NumberState.NEVER_RECEIVED, burnt=False, received=None, times_applied=0, times_reversed=0)

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        """Read one row of the table `numbers`."""
        received = None
        if row["adjust"] is not None:
            received = AdjustRecord(ReceivedAdjust.model_validate_json(row["adjust"]), Result(row["code"], row["msg"]))
        return cls(
            number=row["number"],
            state=NumberState(row["state"]),
            burnt=bool(row["burnt"]),
            received=received,
            times_applied=row["times_applied"],
            times_reversed=row["times_reversed"],
        )

    def columns(self) -> tuple[object, ...]:
        """Return the values for the table `numbers`, in the order of its columns."""
        record = self.received
        adjust = (record.adjust.model_dump_json(), *record.result) if record else (None, None, None)
        return (self.number, self.state, self.burnt, *adjust, self.times_applied, self.times_reversed)

    def contradictions(self, cancel: Cancel) -> list[str]:
        """Return the names of the fields in which the cancel differs from the adjust; empty until it is received."""
        if self.received is None:
            return []
        adjust = self.received.adjust
        derived = {"amount": Decimal(absolute(adjust.amount)), "reverse_type": reverse_type_of(adjust.bizType)}
        actual = adjust.model_dump() | derived
        return [name for name, value in cancel.stated_fields if actual[name] != value]


class CancelView(Model):
    """One cancel that was carried out for a number, and the code of its reply."""

    request_unique_no: str
    code: str


class NumberView(Model):
    """What GET /simulator/numbers/{number} shows. Amount and account are null until the adjust is received."""

    request_unique_no: str
    state: NumberState
    burnt: bool
    """A cancel was received before the adjust. Then `timesApplied` can exceed 0 only with land_late_unguarded."""
    times_applied: int
    times_reversed: int
    amount: str | None
    """As the adjust sent it, with its sign."""
    currency: str | None
    third_server_code: str | None
    landing_due_at_ns: int | None
    """When a delayed adjust will be applied (epoch, ns); null if none is waiting."""
    cancels: tuple[CancelView, ...]
    """Every cancel recorded for it, oldest first; at most 1,000."""

    @classmethod
    def of(cls, row: NumberRow, landing_due_at_ns: int | None, cancels: Sequence[sqlite3.Row]) -> Self:
        """Build the view of one row, the due time of its delayed adjust and its cancels."""
        adjust = row.received.adjust if row.received else None
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
