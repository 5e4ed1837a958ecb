"""Adjust: changes a customer's credit (docs/contract.md#table-1)."""

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
    """An adjust as workflow histories store it: field types only, no rules.

    If a rule becomes stricter in a later release, open settlements must stay readable and their compensation must still
    run. So the rules are checked only when a request arrives (`AdjustRequest`).
    `amountDigits` and `operationType` are declared before `amount`, because its rules use them.
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
        """Return the JSON object to send: every field as given, without absent fields."""
        return self.model_dump(mode="json", exclude_none=True)


def integer_only(value: object) -> object:
    """Raise ValueError unless the value is an int (an enum would accept "1", 1.0 and true as 1)."""
    if type(value) is not int:
        message = "must be an integer"
        raise ValueError(message)
    # Beyond int64 pydantic's message is about parsing strings. INT64_MIN, also no member, gets the right message.
    return value if INT64_MIN <= value <= INT64_MAX else INT64_MIN


StrictBizType = Annotated[BizType, Field(strict=False), BeforeValidator(integer_only)]


class AdjustRequest(AdjustBody):
    """An adjust with every rule of table 1; the API and the simulator parse requests with it.

    Raises `pydantic.ValidationError`; each error is located at the field whose rule is broken.
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
    """Raise ValueError if the amount has more than `digits` decimals (None: amountDigits itself was refused)."""
    if digits is not None and decimal_places(amount) > digits:
        message = f"must have at most amountDigits={digits} decimals"
        raise ValueError(message)


def check_sign(amount: str, operation: OperationType | None) -> None:
    """Raise ValueError if the sign does not fit the operation (None: operationType itself was refused)."""
    if operation is None:
        return
    negative = operation is OperationType.ABNORMAL_OVERTRADING
    if is_zero(amount) or amount.startswith("-") is not negative:
        message = f"must be {'negative' if negative else 'positive'} for operationType {operation}"
        raise ValueError(message)
