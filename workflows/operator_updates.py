"""The Updates that operators send: what each must hold, and how a refusal says what is missing."""

from pydantic import BaseModel, ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from settlement.operator_rules import PLACEHOLDERS
    from settlement.snapshot import OperatorRequest

NOTHING_FILLED_IN = OperatorRequest()
"""The default of both Updates. It never passes their rules: it is there so that the refusal names what is missing."""


def must_hold(rules: type[BaseModel], request: OperatorRequest) -> None:
    """Raise ApplicationError INVALID_REQUEST, in one line that names each field and its rule, unless all rules hold.

    A field that is missing, empty, or still holds the template's placeholder is named with what to fill in.

    Called by validators only, and not built into the type: a validator does not run on replay, so a rule may
    be tightened while settlements are open.
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
