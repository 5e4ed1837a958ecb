"""Adjust: take or give back customer credit (contract, table 1)."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from contract.fields import (
    INT64_MAX,
    INT64_MIN,
    Amount,
    AmountDigits,
    BizType,
    Currency,
    EpochMs,
    Int64,
    IpAddress,
    Metadata,
    OperationType,
    Text,
    UniqueNo,
    UserName,
    decimal_places,
    is_zero,
)


class AdjustBody(BaseModel):
    """The shape of an adjust as workflow histories keep it: types only, no rules.

    A rule that is tightened one day must not make an open settlement unreadable, nor stop its
    compensation; so the rules stand at the doors (`AdjustRequest`) and not here.
    `amountDigits` and `operationType` stand before `amount` because its rules need them.
    """

    model_config = ConfigDict(frozen=True)

    thirdServerCode: str
    userName: str
    currency: str
    bizType: int
    operationType: str
    amountDigits: int
    amount: str
    orderId: int
    requestUniqueNo: str
    requestTime: int
    ip: str
    metadata: str | None = None

    def wire(self) -> dict[str, str | int]:
        """Return the JSON object to send: every field as given, absent ones left out."""
        return self.model_dump(mode="json", exclude_none=True)


def integer_only(value: object) -> object:
    """Raise ValueError unless the value is an int (an enum would take "1", 1.0 and true for 1)."""
    if type(value) is not int:
        message = "must be an integer"
        raise ValueError(message)
    # Beyond int64 pydantic speaks of parsing strings; no enum has such a member, so any other non-member will do.
    return value if INT64_MIN <= value <= INT64_MAX else INT64_MIN


StrictBizType = Annotated[BizType, Field(strict=False), BeforeValidator(integer_only)]


class AdjustRequest(AdjustBody):
    """An adjust with every rule of table 1; the platform's POST and the simulator read it.

    Raises `pydantic.ValidationError`, each error located at the field whose rule is broken.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    thirdServerCode: Text
    userName: UserName
    currency: Currency
    bizType: StrictBizType
    operationType: Annotated[OperationType, Field(strict=False)]
    amountDigits: AmountDigits
    amount: Amount
    orderId: Int64
    requestUniqueNo: UniqueNo
    requestTime: EpochMs
    ip: IpAddress
    metadata: Metadata | None = None

    @field_validator("amount")
    @classmethod
    def _digits_and_sign(cls, amount: str, info: ValidationInfo) -> str:
        check_decimals(amount, info.data.get("amountDigits"))
        check_sign(amount, info.data.get("operationType"))
        return amount

    def body(self) -> AdjustBody:
        """Return the shape of this request, as `AdjustBody` holds it; nothing is validated again."""
        plain = {"bizType": self.bizType.value, "operationType": self.operationType.value}
        return AdjustBody.model_construct(**{**dict(self), **plain})


def check_decimals(amount: str, digits: int | None) -> None:
    """Raise ValueError if the amount has more decimals than `digits` (None: already refused)."""
    if digits is not None and decimal_places(amount) > digits:
        message = f"must have at most amountDigits={digits} decimals"
        raise ValueError(message)


def check_sign(amount: str, operation: OperationType | None) -> None:
    """Raise ValueError if the sign does not fit the operation (None: already refused)."""
    if operation is None:
        return
    negative_wanted = operation is OperationType.ABNORMAL_OVERTRADING
    if is_zero(amount) or amount.startswith("-") is not negative_wanted:
        message = f"must be {'negative' if negative_wanted else 'positive'} for operationType {operation}"
        raise ValueError(message)
