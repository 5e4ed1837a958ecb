"""Seeded orders: bodies of adjusts and cancels with numbers that no other check uses."""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from contract.adjust import AdjustBody
from contract.cancel_adjust import CancelAdjustBody
from contract.cancel_operation import CancelOperationBody
from contract.operations import CancelOperation, Operation

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_RANDOM_LENGTH = 10
REMARK = "conformance check"


@dataclass(frozen=True)
class Body:
    """The JSON object of a request: an adjust, a cancel adjust or a cancel operation."""

    fields: Mapping[str, Any]

    def but(self, **changes: object) -> Self:
        """Return a copy with other values; a value of None removes the field."""
        merged = {**self.fields, **changes}
        return type(self)({name: value for name, value in merged.items() if value is not None})

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - a JSON value
        return self.fields[name]

    @property
    def number(self) -> str:
        """The request's own unique number."""
        return str(self.fields.get("requestUniqueNo") or self.fields.get("txid"))


def cancel_of(adjust: Body, number: str, operation: CancelOperation = Operation.CANCEL_ADJUST) -> Body:
    """Return the cancel of an adjust that is valid under the contract, with its own number."""
    body = AdjustBody.model_construct(**{"metadata": None, **adjust.fields})
    shape: type[CancelAdjustBody | CancelOperationBody]
    shape = CancelAdjustBody if operation is Operation.CANCEL_ADJUST else CancelOperationBody
    cancel = shape.undoing(body, number=number, request_time_ms=now_ms(), remark=REMARK)
    # The metadata asks some brokers for a fault of the adjust; it must not ask for one of the cancel.
    return Body({name: value for name, value in cancel.wire().items() if name != "metadata"})


def now_ms() -> int:
    """Return the time in milliseconds since 1970: 13 digits."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Account:
    """The account that orders are for. None: each order has a new customer."""

    customer: str | None = None
    user: str | None = None
    currency: str = "USD"


class Orders:
    """Makes the orders of one requirement. The same seed makes the same numbers."""

    def __init__(self, requirement_id: str, seed: int, account: Account) -> None:
        self._prefix = requirement_id.replace("-", "")
        self.random = random.Random(f"{seed} {requirement_id}")  # noqa: S311 - it must be repeatable
        self._account = account
        self._count = 0

    def name(self, kind: str) -> str:
        """Return a new name, such as "C012-k3m5x1-n1": at most 32 characters."""
        self._count += 1
        return f"{self._prefix}-{self._random_text()}-{kind}{self._count}"

    def order(self, **changes: object) -> Body:
        """Return a new plain adjust: OPEN_POSITION of 12.50. `changes` are as in `Body.but`."""
        plain = {
            "thirdServerCode": self._account.customer or self.name("c"),
            "userName": self._account.user or self.name("u"),
            "currency": self._account.currency,
            "bizType": 1,
            "operationType": "OPEN_POSITION",
            "amount": "12.50",
            "amountDigits": 2,
            "orderId": self.random.randrange(1_000_000, 1_000_000_000),
            "requestUniqueNo": self.name("n"),
            "requestTime": now_ms(),
            "ip": "203.0.113.7",
        }
        return Body(plain).but(**changes)

    def _random_text(self) -> str:
        return "".join(self.random.choices(_ALPHABET, k=_RANDOM_LENGTH))
