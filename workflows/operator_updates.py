"""Validation of the Updates that operators send, with errors that name each field and its rule."""

from pydantic import BaseModel, ValidationError
from temporalio.exceptions import ApplicationError

from settlement.operator_rules import PLACEHOLDERS
from settlement.snapshot import OperatorRequest

EMPTY_REQUEST = OperatorRequest()
"""Default argument of both Updates. It always fails validation, so an Update without input gets an error that names
the missing fields."""


def check_rules(rules: type[BaseModel], request: OperatorRequest) -> None:
    """Raise ApplicationError INVALID_REQUEST, in one line that names each field and its rule, unless all rules hold.

    A field that is missing, empty, or still holds the template's placeholder is named with what to fill in.

    Only validators call this. A validator does not run during a replay, so a rule can become stricter while
    settlements are open.
    """
    given = request.model_dump(by_alias=True, exclude_none=True)
    filled_in = {name: value for name, value in given.items() if value not in {"", PLACEHOLDERS.get(name)}}
    try:
        rules.model_validate(filled_in)
    except ValidationError as error:
        broken = "; ".join(_rule(each["loc"], each["type"], each["msg"]) for each in error.errors())
        message = f"{broken}. The input to paste is shown under User Metadata, Details"
        raise ApplicationError(message, type="INVALID_REQUEST") from None


def _rule(where: tuple[int | str, ...], kind: str, message: str) -> str:
    field = ".".join(str(part) for part in where)
    if kind == "missing":
        return f"{field} is missing: fill in {PLACEHOLDERS[field]}"
    return f"{field}: {message}"
