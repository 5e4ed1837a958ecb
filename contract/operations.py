"""The three operations of the contract, the reply that they share (docs/contract.md#table-4), and its codes."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from contract.fields import Int64

ADJUST_PATH = "/"
CANCEL_ADJUST_PATH = "/get-user-amount"
CANCEL_OPERATION_PATH = "/global/tradeapi.app.OrderApiService.queryPBOOrderPage"
"""The published paths of the three operations (docs/contract.md#operations). They are defaults: each can be changed."""

CODE_SUCCESS = "0"
CODE_NOT_APPLIED = "US_0000001"
"""Cancel adjust only: the adjust was received but not applied."""
CODE_NEVER_RECEIVED = "US_0000002"
"""Cancel adjust only: the adjust was never received."""


class Operation(StrEnum):
    """An operation of the contract."""

    ADJUST = "ADJUST"
    CANCEL_ADJUST = "CANCEL_ADJUST"
    CANCEL_OPERATION = "CANCEL_OPERATION"
    """The deprecated variant of CANCEL_ADJUST (docs/contract.md#table-3)."""


CancelOperation = Literal[Operation.CANCEL_ADJUST, Operation.CANCEL_OPERATION]
"""An operation that undoes an adjust; each deployment's external system has one of them (a setting)."""


class TraceCheck(StrEnum):
    """Whether the trace of a reply must be the request's (a setting).

    See docs/contract.md#table-4, docs/contract.md#trace.
    """

    STRICT = "strict"
    """A reply with a trace must have the trace of its request. A reply without a trace is accepted."""
    IGNORE = "ignore"
    """The trace of a reply is not compared, for an external system that does not return the request's trace."""


class ExternalReply(BaseModel):
    """One reply. Only `code` is required; a null counts as absent, and unknown fields are ignored.

    Types are strict: `"ok": "true"` or `"code": 0` is not a reply of table 4. Only `data` may have any JSON type,
    because the outcome does not depend on it.
    """

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    bizCode: str | None = None
    code: str
    msg: str | None = None
    tm: Int64 | None = None
    trace: str | None = None
    msgParams: str | None = None
    data: object = None
    ok: bool | None = None
    fail: bool | None = None

    def is_consistent(self) -> bool:
        """Tell whether ok and fail, if present, agree with the code (docs/contract.md#outcomes)."""
        success = self.code == CODE_SUCCESS
        return self.ok in {None, success} and self.fail in {None, not success}
