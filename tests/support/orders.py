"""Orders to settle, valid unless a test says otherwise."""

import itertools
import time
from datetime import UTC, datetime
from typing import Any

from contract.adjust import AdjustBody
from settlement.ids import SettlementId
from settlement.policy import ConfirmMode, SettlementPolicy
from settlement.start import DEFAULT_SYSTEM, SettlementInput, SubmittedBy

_numbers = itertools.count(1)
_RUN = f"{time.time_ns():x}"

SUBMITTER = SubmittedBy(client="shop-7", key_id="0123456789abcdef")
QUICK_POLICY = SettlementPolicy(
    cancel_max_attempts=3,
    cancel_initial_interval_s=1,
    cancel_max_interval_s=10,
    confirm_after_s=30,
    expire_after_s=60,
)
SPARSE_POLICY = QUICK_POLICY.model_copy(
    update={
        "cancel_sparse_attempts": 3,
        "cancel_sparse_initial_interval_s": 20.0,
        "cancel_sparse_max_interval_s": 30.0,
        "cancel_in_process_max": 2,
    }
)
"""Three attempts 1 s and 2 s apart, and three more after 20 s, 30 s and 30 s."""
ALWAYS_CONFIRMED = QUICK_POLICY.model_copy(update={"confirm": ConfirmMode.ALWAYS})
ONE_ATTEMPT = QUICK_POLICY.model_copy(update={"cancel_max_attempts": 1})
"""The first cancel that fails aborts the settlement."""


def new_number(prefix: str = "T") -> str:
    """Return a number that no other test has used."""
    return f"{prefix}-{_RUN}-{next(_numbers)}"


def id_of(number: str, system: str = DEFAULT_SYSTEM) -> SettlementId:
    """Return the id of the settlement with a number."""
    return SettlementId(system, number)


def order(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any field, with any value that a test wants refused
    """Return the JSON of a valid order with some fields replaced; a field set to None is left out."""
    whole = {
        "thirdServerCode": "customer-7",
        "userName": "user-7",
        "currency": "USD",
        "bizType": 1,
        "operationType": "OPEN_POSITION",
        "amount": "12.50",
        "amountDigits": 2,
        "orderId": 4711,
        "requestUniqueNo": new_number(),
        "requestTime": time.time_ns() // 1_000_000,
        "ip": "203.0.113.7",
        **fields,
    }
    return {name: value for name, value in whole.items() if value is not None}


def settlement(
    *,
    policy: SettlementPolicy = QUICK_POLICY,
    accepted_at: datetime | None = None,
    company_id: int | None = 7,
    system: str = DEFAULT_SYSTEM,
    **fields: Any,  # noqa: ANN401 - passed on as it is
) -> SettlementInput:
    """Return an accepted order as its workflow gets it."""
    return SettlementInput(
        adjust=AdjustBody(**order(**fields)),
        trace="trace-7",
        company_id=company_id,
        system=system,
        accepted_at=accepted_at or datetime.now(UTC),
        policy=policy,
        submitted_by=SUBMITTER,
    )
