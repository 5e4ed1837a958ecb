"""Error responses: problems of the API (RFC 9457), and responses of other servers, such as a proxy."""

import json
from http import HTTPStatus

from pydantic import BaseModel, ValidationError

from cli.exits import CliError, NoAnswerError, RefusedError
from cli.rendering import clean
from schemas.problems import ErrorCode

RETRY_AFTER_DEFAULT_S = 1.0


class _FieldError(BaseModel):
    field: str
    rule: str


class _Problem(BaseModel):
    """The fields of a problem that are shown. `code` may be any text, because a newer API may have more codes."""

    title: str
    code: str
    detail: str
    errors: list[_FieldError] | None = None


def error_from_response(
    status: int, text: str, retry_after: str | None, foreign_message: str | None = None
) -> CliError:
    """Return the error for an error response: RefusedError for a 4xx problem of the API, else NoAnswerError.

    `foreign_message` is the message for a response that does not come from the API, if the caller knows more about it.
    """
    try:
        problem = _Problem.model_validate_json(text)
    except ValidationError:
        # A proxy that answers 407 has not forwarded the request.
        refused_by_proxy = foreign_message is not None and status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
        wait_s = _wait_s(status, retry_after)
        message = foreign_message or _foreign_message(status)
        return NoAnswerError(message, retry_after_s=wait_s, never_sent=refused_by_proxy)
    message, document = _described(problem, status), json.dumps(json.loads(text), ensure_ascii=False)
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return RefusedError(message, document)
    return NoAnswerError(message, document, retry_after_s=_wait_s(status, retry_after))


def _described(problem: _Problem, status: int) -> str:
    lines = [f"{problem.title}: {problem.detail} [{problem.code}, HTTP {status}]"]
    lines += [f"  {each.field}: {each.rule}" for each in problem.errors or ()]
    lines += ["  name it with --system"] if problem.code == ErrorCode.NUMBER_AMBIGUOUS else []
    return "\n".join(clean(line) for line in lines)


def _foreign_message(status: int) -> str:
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"HTTP {status}: redirects are not followed, to protect the API key; check the URL"
    return f"HTTP {status} does not come from the API; check the URL"


def _wait_s(status: int, retry_after: str | None) -> float | None:
    """Return the pause that a 503 asks for, in seconds. A date instead of seconds counts as the default."""
    if status != HTTPStatus.SERVICE_UNAVAILABLE:
        return None
    is_seconds = retry_after is not None and retry_after.isascii() and retry_after.isdigit()
    return float(retry_after) if is_seconds and retry_after is not None else RETRY_AFTER_DEFAULT_S
