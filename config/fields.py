"""Types of configuration values, each with its rule: used by settings and by the file of external systems."""

import ipaddress
from typing import Annotated, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer
from pydantic_core import PydanticCustomError
from yarl import URL

from contract.operations import CancelOperation, Operation
from settlement.audit_window import CANCEL_ATTEMPTS_MAX, IN_PROCESS_MAX, SPARSE_ATTEMPTS_MAX


def _http_url(value: str) -> str:
    message = "must be an http or https URL without query or fragment"
    try:
        url = URL(value)
        valid = url.scheme in {"http", "https"} and url.host and not url.query_string and not url.fragment
    except ValueError:
        # The parser's own message may contain a part of a password.
        raise ValueError(message) from None
    if not valid:
        raise ValueError(message)
    return value


def _spelling(operation: CancelOperation) -> str:
    """Return the spelling of an operation in the configuration: `cancel-adjust` for CANCEL_ADJUST."""
    return operation.lower().replace("_", "-")


def _cancel_operation(value: object) -> object:
    """Return the operation with this spelling. An Operation is returned as it is."""
    if isinstance(value, Operation):
        return value
    for each in get_args(CancelOperation):
        if value == _spelling(each):
            return each
    spellings = " or ".join(f"'{_spelling(each)}'" for each in get_args(CancelOperation))
    kind = "enum"
    raise PydanticCustomError(kind, "Input should be {spellings}", {"spellings": spellings})


Port = Annotated[int, Field(ge=1, le=65535)]
CancelBy = Annotated[CancelOperation, BeforeValidator(_cancel_operation), PlainSerializer(_spelling)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
UrlPath = Annotated[str, Field(pattern="^/")]

CancelAttempts = Annotated[int, Field(ge=1, le=CANCEL_ATTEMPTS_MAX)]
InitialInterval = Annotated[float, Field(gt=0, le=3600)]
MaxInterval = Annotated[float, Field(gt=0, le=86400)]
SparseAttempts = Annotated[int, Field(ge=0, le=SPARSE_ATTEMPTS_MAX)]
SparseInitialInterval = Annotated[float, Field(gt=0, le=86400)]
SparseMaxInterval = Annotated[float, Field(gt=0, le=604_800)]
RetryAfterMax = Annotated[float, Field(ge=0, le=86400)]
InProcessMax = Annotated[int, Field(ge=0, le=IN_PROCESS_MAX)]
Quarantine = Annotated[float, Field(gt=0, le=86400)]
Expiry = Annotated[float, Field(gt=0, le=86400)]
"""The values of a policy (`settlement.policy`); all but the numbers of attempts and replies are in seconds."""


def is_loopback(host: str) -> bool:
    """Tell whether a host can be reached only from this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
