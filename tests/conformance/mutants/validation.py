"""Faults of the rules of a request: a rule that is not checked, and requests that are refused without a rule."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, create_model

from contract import adjust as adjust_rules
from contract import cancel_adjust as cancel_rules
from contract.adjust import AdjustRequest, check_sign
from contract.cancel_adjust import CancelAdjustRequest
from contract.fields import (
    Amount,
    Currency,
    Int64,
    IpAddress,
    OperationType,
    Remark,
    Text,
    UniqueNo,
    UserName,
    absolute,
    is_zero,
)
from contract.strict_json import strict_json
from simulator import replies, request_handler
from simulator.book_records import ReceivedAdjust
from simulator.call_journal import Request
from simulator.faults import ReplyMode
from simulator.request_bodies import ReceivedAdjustRequest, ReceivedCancelAdjust, ReceivedCancelOperation
from simulator.request_handler import HandledReply, RequestHandler
from tests.conformance.mutants.mutant import Mutant, Plant, both, mutant, replacing, with_handler, with_requests

_NUMBER_LENGTH_MAX = 32
_NEGATIVE = re.compile(r"-[0-9]+\.[0-9]+")
_NOT_ASCII = re.compile("[^ -~]")

M = TypeVar("M", bound=BaseModel)


def adjusts_with(**fields: Any) -> Plant:  # noqa: ANN401 - as pydantic takes them
    """Parse adjusts with other rules for some fields: type and default, as `create_model` takes them."""
    return with_requests(ReceivedAdjustRequest=_lenient(ReceivedAdjustRequest, fields))


def cancels_with(**fields: Any) -> Plant:  # noqa: ANN401 - as pydantic takes them
    """Parse cancel adjusts with other rules for some fields."""
    return with_requests(ReceivedCancelAdjust=_lenient(ReceivedCancelAdjust, fields))


def _lenient(model: type[M], fields: Mapping[str, Any]) -> type[M]:
    lenient: type[M] = create_model("Lenient", __base__=model, **fields)
    return lenient


def both_with(**fields: Any) -> Plant:  # noqa: ANN401 - as pydantic takes them
    """Parse adjusts and cancel adjusts with other rules for some fields."""
    return both(adjusts_with(**fields), cancels_with(**fields))


def _number_of(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _integer_of(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _any_decimal(value: str) -> str:
    """Read what Python's Decimal reads, such as 1e1 and +1, and write it as a plain decimal."""
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise ValueError(value) from error
    if not number.is_finite():
        raise ValueError(value)
    return format(number, "f")


def _zero_has_any_sign(amount: str, operation: OperationType | None) -> None:
    if not is_zero(amount):
        check_sign(amount, operation)


def _ignored(*_: object) -> None:
    return


def _without_header_rules(*headers: str) -> Plant:
    """Leave out the rules of some headers."""
    correct = request_handler.header_problems

    def problems(request: Request) -> list[str]:
        return [each for each in correct(request) if not any(each.startswith(f"header {name}:") for name in headers)]

    return replacing(request_handler, header_problems=problems)


class AnswersHttp500ToBrokenJson(RequestHandler):
    """Answers HTTP 500 to a body that is not JSON."""

    def _reply(self, request: Request) -> HandledReply:
        try:
            strict_json(request.body)
        except ValueError:
            return HandledReply(replies.FAILED, ReplyMode.HTTP_500)
        return super()._reply(request)


def _ascii_only(value: str) -> str:
    if _NOT_ASCII.search(value):
        message = "must be ASCII"
        raise ValueError(message)
    return value


def _unsigned(amount: str) -> str:
    return absolute(amount)


def _after(kind: Any, change: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - a type with a validator
    return Annotated[kind, AfterValidator(change)]


def _before(kind: Any, change: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - a type with a validator
    return Annotated[kind, BeforeValidator(change)]


def _as_number(value: object) -> object:
    """Read true as 1."""
    return int(value) if isinstance(value, bool) else value


def _ascii_digits(value: object) -> object:
    """Read every decimal digit of Unicode, as `int` and `Decimal` of Python do."""
    is_digit = str.isdecimal
    return "".join(str(int(each)) if is_digit(each) else each for each in value) if isinstance(value, str) else value


def _without_end_of_line(value: object) -> object:
    r"""Read a line, as a regular expression with `$` does, which also matches before `\n`."""
    return value.removesuffix("\n") if isinstance(value, str) else value


def _in_capitals(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _in_eight_decimals(amount: str) -> str:
    whole, point, decimals = amount.partition(".")
    return f"{whole}{point}{decimals[:8]}"


class AppliesWhatItRefuses(RequestHandler):
    """Applies an OPEN_POSITION with a negative amount, and then answers that it is refused."""

    def _adjust(self, request: Request) -> HandledReply:
        try:
            return super()._adjust(request)
        except request_handler.BrokenRuleError:
            adjust = _adjust_of(request)
            if adjust is not None and adjust.operationType == "OPEN_POSITION" and _NEGATIVE.fullmatch(adjust.amount):
                self.books.adjust(adjust)
            raise


def _adjust_of(request: Request) -> ReceivedAdjust | None:
    try:
        return ReceivedAdjust.model_validate_json(request.body, strict=True)
    except ValidationError:
        return None


def _order_ids(kind: Any) -> Plant:  # noqa: ANN401 - a type
    """Read the order ids of adjusts and cancel adjusts as another type."""
    return both(adjusts_with(orderId=(kind, ...)), cancels_with(orderId=(kind | None, None)))


def _numbers(change: Callable[[Any], Any]) -> Plant:
    """Change each number of a request that is valid, before it is used."""
    number = (_after(UniqueNo, change), ...)
    operation = _lenient(ReceivedCancelOperation, {"txid": number, "tx_reverse_id": number})
    return both(
        adjusts_with(requestUniqueNo=number),
        cancels_with(requestUniqueNo=number, reverseRequestUniqueNo=number),
        with_requests(ReceivedCancelOperation=operation),
    )


_ANY_OPERATION = Annotated[OperationType | str, Field(union_mode="left_to_right")]
_TEXT = Annotated[str, Field(min_length=1)]
_DECIMAL = _after(str, _any_decimal)

VALIDATION: dict[str, Mutant] = {
    "does-not-require-ip": mutant(adjusts_with(ip=(IpAddress, "203.0.113.7")), "C-020"),
    "does-not-require-an-order": mutant(adjusts_with(orderId=(Int64, 0)), "C-020"),
    "does-not-require-a-cancel-remark": mutant(cancels_with(cancelRemark=(Remark, "none")), "C-020"),
    "reads-an-integer-from-a-string": mutant(adjusts_with(orderId=(_before(Int64, _integer_of), ...)), "C-021"),
    "reads-a-text-from-a-number": mutant(adjusts_with(userName=(_before(UserName, _number_of), ...)), "C-021"),
    "reads-true-as-an-integer": mutant(adjusts_with(orderId=(_before(Int64, _as_number), ...)), "C-021"),
    "accepts-any-sign": mutant(replacing(adjust_rules, check_sign=_ignored), "C-022"),
    "accepts-zero": mutant(replacing(adjust_rules, check_sign=_zero_has_any_sign), "C-022"),
    "accepts-any-operation-type": mutant(adjusts_with(operationType=(_ANY_OPERATION, ...)), "C-023"),
    "ignores-the-case-of-the-operation-type": mutant(
        adjusts_with(
            operationType=(_before(AdjustRequest.model_fields["operationType"].annotation, _in_capitals), ...)
        ),
        "C-023",
    ),
    "accepts-any-biz-type": mutant(both_with(bizType=(int, ...)), "C-023"),
    "accepts-exponents": mutant(both_with(amount=(_DECIMAL, ...)), "C-024"),
    "reads-an-amount-from-a-number": mutant(both_with(amount=(_before(_DECIMAL, _number_of), ...)), "C-024"),
    "accepts-the-digits-of-other-scripts": mutant(both_with(amount=(_before(Amount, _ascii_digits), ...)), "C-024"),
    "accepts-a-line-break-after-an-amount": mutant(
        both_with(amount=(_before(Amount, _without_end_of_line), ...)), "C-024"
    ),
    "accepts-any-number-of-decimals": mutant(
        both(replacing(adjust_rules, check_decimals=_ignored), replacing(cancel_rules, check_decimals=_ignored)),
        "C-025",
    ),
    "accepts-long-numbers": mutant(adjusts_with(requestUniqueNo=(_TEXT, ...)), "C-026"),
    "accepts-long-names": mutant(adjusts_with(userName=(_TEXT, ...)), "C-026"),
    "accepts-long-remarks": mutant(cancels_with(cancelRemark=(_TEXT, ...)), "C-026"),
    "accepts-time-in-seconds": mutant(both_with(requestTime=(int, ...)), "C-027"),
    "does-not-check-the-timestamp": mutant(_without_header_rules("timestamp"), "C-027"),
    "accepts-any-currency": mutant(adjusts_with(currency=(Annotated[str, Field(max_length=16)], ...)), "C-028"),
    "accepts-xxx-and-xts": mutant(both_with(currency=(Currency | Literal["XXX", "XTS"], ...)), "C-028"),
    "ignores-the-case-of-the-currency": mutant(both_with(currency=(_before(Currency, _in_capitals), ...)), "C-028"),
    "applies-what-it-refuses": mutant(with_handler(AppliesWhatItRefuses), "C-022"),
    "does-not-require-a-trace": mutant(_without_header_rules("trace"), "C-029"),
    "answers-http-500-to-broken-json": mutant(with_handler(AnswersHttp500ToBrokenJson), "C-029"),
    "refuses-unknown-fields": mutant(
        with_requests(ReceivedAdjustRequest=AdjustRequest, ReceivedCancelAdjust=CancelAdjustRequest),
        "C-030",
    ),
    "order-id-as-int32": mutant(_order_ids(Annotated[int, Field(ge=-(2**31), lt=2**31)]), "C-031"),
    "order-id-as-a-float": mutant(_order_ids(_after(Int64, lambda number: int(float(number)))), "C-031"),
    "truncates-numbers-to-32-characters": mutant(
        _numbers(lambda number: number[:_NUMBER_LENGTH_MAX]),
        "C-032",
    ),
    "ignores-the-case-of-numbers": mutant(_numbers(str.lower), "C-032"),
    "ignores-blanks-at-the-end-of-numbers": mutant(_numbers(str.rstrip), "C-032"),
    "keeps-eight-decimals-of-an-amount": mutant(both_with(amount=(_after(Amount, _in_eight_decimals), ...)), "C-033"),
    "refuses-utf-8-in-names": mutant(both_with(userName=(_after(UserName, _ascii_only), ...)), "C-032"),
    "requires-the-optional-fields-of-a-cancel": mutant(
        cancels_with(thirdServerCode=(Text, ...), orderId=(Int64, ...)), "C-040"
    ),
    "accepts-a-negative-amount-in-a-cancel": mutant(
        cancels_with(amount=(_before(str, _unsigned), ...)),
        "C-055",
    ),
}
