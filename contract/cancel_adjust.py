"""Cancel adjust: reverses an adjust, or reports that there is nothing to reverse (docs/contract.md#table-2)."""

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from contract.adjust import AdjustBody, StrictBizType, check_decimals
from contract.fields import (
    Amount,
    AmountDigits,
    Currency,
    EpochMs,
    Int64,
    IpAddress,
    Metadata,
    Remark,
    Text,
    UniqueNo,
    UserName,
    absolute,
    is_zero,
)


class CancelAdjustBody(BaseModel):
    """A cancel adjust as it is sent: field types only, no rules (see `AdjustBody`)."""

    model_config = ConfigDict(frozen=True)

    thirdServerCode: str | None = None
    userName: str
    currency: str
    bizType: int
    amountDigits: int
    amount: str
    orderId: int | None = None
    requestUniqueNo: str
    reverseRequestUniqueNo: str
    requestTime: int
    ip: str
    cancelRemark: str
    metadata: str | None = None

    @classmethod
    def undoing(cls, adjust: AdjustBody, *, number: str, request_time_ms: int, remark: str) -> "CancelAdjustBody":
        """Build the cancel of `adjust` with its own `number`; its amount has no sign (docs/contract.md#table-2)."""
        shared = adjust.model_dump(exclude={"operationType", "amount", "requestUniqueNo", "requestTime"})
        return cls(
            **shared,
            amount=absolute(adjust.amount),
            requestUniqueNo=number,
            reverseRequestUniqueNo=adjust.requestUniqueNo,
            requestTime=request_time_ms,
            cancelRemark=remark,
        )

    def wire(self) -> dict[str, str | int]:
        """Return the JSON object to send, without absent fields."""
        return self.model_dump(mode="json", exclude_none=True)


class CancelAdjustRequest(CancelAdjustBody):
    """A cancel adjust with every rule of table 2; the simulator parses requests with it.

    Raises `pydantic.ValidationError`; each error is located at the field whose rule is broken.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    thirdServerCode: Text | None = None
    userName: UserName
    currency: Currency
    bizType: StrictBizType
    amountDigits: AmountDigits
    amount: Amount
    orderId: Int64 | None = None
    requestUniqueNo: UniqueNo
    reverseRequestUniqueNo: UniqueNo
    requestTime: EpochMs
    ip: IpAddress
    cancelRemark: Remark
    metadata: Metadata | None = None

    @field_validator("amount")
    @classmethod
    def _digits_and_sign(cls, amount: str, info: ValidationInfo) -> str:
        check_decimals(amount, info.data.get("amountDigits"))
        if is_zero(amount) or amount.startswith("-"):
            message = "must be positive in a cancel adjust"
            raise ValueError(message)
        return amount
