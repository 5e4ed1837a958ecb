"""Cancel operation: the deprecated variant of cancel adjust (docs/contract.md#table-3)."""

from enum import IntEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from contract.adjust import AdjustBody, integer_only
from contract.fields import BizType, EpochMs, IpAddress, Remark, UniqueNo, UserName


class ReverseType(IntEnum):
    """What is reversed: placing an order or closing a position (docs/contract.md#table-3)."""

    PLACE_ORDER = 1
    CLOSE_POSITION = 2


def reverse_type_of(biz_type: int) -> ReverseType:
    """Return the reverse_type of a bizType: 2 closes a position, every other one places an order.

    See docs/contract.md#reverse-type.
    """
    return ReverseType.CLOSE_POSITION if biz_type == BizType.MARKET_CLOSE else ReverseType.PLACE_ORDER


class CancelOperationBody(BaseModel):
    """A cancel operation as it is sent: field types only, no rules (see `AdjustBody`)."""

    model_config = ConfigDict(frozen=True)

    username: str
    tx_reverse_id: str
    reverse_type: int
    txid: str
    requesttime: int
    ip: str
    cancel_remark: str

    @classmethod
    def undoing(cls, adjust: AdjustBody, *, number: str, request_time_ms: int, remark: str) -> "CancelOperationBody":
        """Build the cancel of `adjust` with its own `number`."""
        return cls(
            username=adjust.userName,
            tx_reverse_id=adjust.requestUniqueNo,
            reverse_type=reverse_type_of(adjust.bizType),
            txid=number,
            requesttime=request_time_ms,
            ip=adjust.ip,
            cancel_remark=remark,
        )

    def wire(self) -> dict[str, str | int]:
        """Return the JSON object to send."""
        return self.model_dump(mode="json")


class CancelOperationRequest(CancelOperationBody):
    """A cancel operation with every rule of table 3; the simulator parses requests with it.

    Raises `pydantic.ValidationError`; each error is located at the field whose rule is broken.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    username: UserName
    tx_reverse_id: UniqueNo
    reverse_type: Annotated[ReverseType, Field(strict=False), BeforeValidator(integer_only)]
    txid: UniqueNo
    requesttime: EpochMs
    ip: IpAddress
    cancel_remark: Remark
