"""The orders of a chaos run, drawn from a seed. The external system fails for many of them."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from simulator.faults import ADJUST_BEHAVIOURS, CANCEL_BEHAVIOURS, BookEffect
from tests.support.orders import new_number, order

COMPANIES = 4
WRONG_BOOKS = {BookEffect.DELAY_UNGUARDED, BookEffect.CLAIM, BookEffect.REPEAT}
"""Effects with which the books contradict the replies. Only a statement of the books can reveal them."""
ADJUST_FAULTS = tuple(fault for fault, does in ADJUST_BEHAVIOURS.items() if does.effect not in WRONG_BOOKS)
CANCEL_FAULTS = tuple(fault for fault, does in CANCEL_BEHAVIOURS.items() if does.effect not in WRONG_BOOKS)


@dataclass(frozen=True)
class Order:
    """One order and its company."""

    body: dict[str, Any]
    company_id: int

    @property
    def number(self) -> str:
        """Its requestUniqueNo."""
        return str(self.body["requestUniqueNo"])


def plain_order() -> Order:
    """Return an order for which the external system does not fail."""
    return Order(order(requestUniqueNo=new_number("CANARY")), company_id=1)


def orders(seed: int, *, faulty: float) -> Iterator[Order]:
    """Draw orders without end. `faulty` is the share for which the external system fails."""
    rng = random.Random(seed)  # noqa: S311 - repeatable is the point
    while True:
        simulate: dict[str, Any] = {}
        if rng.random() < faulty:
            simulate["adjust"] = rng.choice(ADJUST_FAULTS)
        if simulate and rng.random() < faulty:
            simulate["cancel"] = rng.choice(CANCEL_FAULTS)
            if rng.random() < 0.8:
                simulate["times"] = rng.randrange(1, 4)
        deducts = rng.random() < 0.2
        fields = {
            "requestUniqueNo": new_number("CHAOS"),
            "thirdServerCode": f"customer-{rng.randrange(20)}",
            "operationType": "ABNORMAL_OVERTRADING" if deducts else "OPEN_POSITION",
            "amount": ("-" if deducts else "") + rng.choice(("12.50", "0.01", "1000000.00", "7.77")),
            "metadata": json.dumps({"simulate": simulate}, separators=(",", ":")) if simulate else None,
        }
        yield Order(order(**fields), company_id=rng.randrange(1, COMPANIES + 1))
