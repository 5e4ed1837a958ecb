"""The three requests, each with its rules. What breaks a rule is refused by the field's name and changes nothing.

Unknown fields are ignored, and remarks hardly checked: a cancel refused for its remark leaves the money wrong.
"""

import json
from decimal import Context, Decimal, Inexact
from typing import Annotated, Any, Literal, Self, TypeVar

import pycountry
from annotated_types import Predicate
from pydantic import AfterValidator, BaseModel, Field, model_validator
from starlette.datastructures import Headers

EXACT = Context(prec=100, traps=[Inexact])  # arithmetic that fails rather than rounds


def _of_an_account(code: str) -> str:
    if code in {"XXX", "XTS"} or not code.isupper() or pycountry.currencies.get(alpha_3=code) is None:
        raise ValueError("must be the ISO 4217 code of an account's currency")
    return code


Text = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Name = Annotated[Text, Field(max_length=48)]
Remark = Annotated[str, Field(max_length=200)]
Currency = Annotated[str, Field(max_length=16), AfterValidator(_of_an_account)]
Amount = Annotated[str, Field(max_length=40, pattern=r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$")]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
EpochMs = Annotated[int, Field(ge=10**12, lt=10**13)]
OperationType = Literal["OPEN_POSITION", "NORMAL_CLOSE", "ABNORMAL_OVERTRADING"]
Model = TypeVar("Model", bound=BaseModel)


# `strict`: the number 7 is no text, and the text "7" is no number. So an amount is never read as a float.
class _Order(BaseModel, strict=True):
    trace: Annotated[str, Field(alias="header trace", min_length=1)]
    timestamp: Annotated[str, Field(alias="header timestamp", pattern="^[0-9]{13}$")]
    company: Annotated[str | None, Field(alias="header companyId", pattern="^-?[0-9]{1,19}$")]
    number: Annotated[Name, Field(alias="requestUniqueNo")]
    user_name: Annotated[Name, Field(alias="userName")]
    currency: Currency
    biz_type: Annotated[int, Predicate({1, 2, 10, 11, 12}.__contains__), Field(alias="bizType")]
    amount: Amount
    amount_digits: Annotated[int, Field(alias="amountDigits", ge=0, le=18)]
    request_time: Annotated[EpochMs, Field(alias="requestTime")]
    ip: Text
    metadata: Remark | None = None

    @model_validator(mode="after")
    def _amount_fits(self) -> Self:
        amount, negative = Decimal(self.amount), getattr(self, "operation_type", "") == "ABNORMAL_OVERTRADING"
        if len(self.amount.partition(".")[2]) > self.amount_digits:
            raise ValueError("amount must have at most amountDigits decimals")
        if not amount or (amount < 0) is not negative:
            raise ValueError(f"amount must be {'negative' if negative else 'positive'} here")
        self.amount = f"{EXACT.normalize(amount):f}"  # one spelling for each amount: 12.50 is 12.5
        return self


class Adjust(_Order):
    """Table 1."""

    third_server_code: Annotated[Text, Field(alias="thirdServerCode")]
    operation_type: Annotated[OperationType, Field(alias="operationType")]
    order_id: Annotated[Int64, Field(alias="orderId")]


class CancelAdjust(_Order):
    """Table 2. Its times have no limit: a cancel may come days later."""

    third_server_code: Annotated[Text | None, Field(alias="thirdServerCode")] = None
    order_id: Annotated[Int64 | None, Field(alias="orderId")] = None
    adjust_number: Annotated[Name, Field(alias="reverseRequestUniqueNo")]
    remark: Annotated[Remark, Field(alias="cancelRemark")]

    def contradicts(self, adjust: dict[str, Any]) -> bool:
        """Tell whether it does not fit the adjust that it names; then nothing is given back."""
        said = self.model_dump(include={"third_server_code", "user_name", "currency", "order_id"}, exclude_none=True)
        return bool(said.items() - adjust.items()) or self.amount != adjust["amount"].lstrip("-")


class CancelOperation(BaseModel, strict=True):
    """Table 3, the deprecated form of the same act."""

    number: Annotated[Name, Field(alias="txid")]
    user_name: Annotated[Name, Field(alias="username")]
    adjust_number: Annotated[Name, Field(alias="tx_reverse_id")]
    reverse_type: Annotated[int, Field(ge=1, le=2)]
    requesttime: EpochMs
    ip: Text
    cancel_remark: Remark

    def contradicts(self, adjust: dict[str, Any]) -> bool:
        """Tell whether it does not fit the adjust that it names; bizType 2 closes a position, the others place one."""
        return self.user_name != adjust["user_name"] or (self.reverse_type == 2) is not (adjust["biz_type"] == 2)


def read(model: type[Model], headers: Headers, body: bytes) -> Model:
    """Return a request. ValueError: its body is not JSON in UTF-8, or it breaks rules, which the error names."""
    fields = json.loads(body.decode())
    of_headers = {f"header {name}": headers.get(name) or None for name in ("trace", "timestamp", "companyId")}
    return model.model_validate({**fields, **of_headers} if isinstance(fields, dict) else fields)
