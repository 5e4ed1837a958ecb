"""Answers that are no success: the API's problems (RFC 9457) and what strangers answer in its place."""

import json
from http import HTTPStatus

from pydantic import BaseModel, ValidationError

from cli.exits import CliError, NoAnswerError, RefusedError
from cli.text import clean

RETRY_AFTER_DEFAULT_S = 1.0


class _FieldError(BaseModel):
    field: str
    rule: str


class _Problem(BaseModel):
    """What is shown of a problem. Its code is any word: a newer API may have more of them."""

    title: str
    code: str
    detail: str
    errors: list[_FieldError] | None = None


def error_of(status: int, text: str, retry_after: str | None, stranger: str | None = None) -> CliError:
    """Return the error that an answer other than success is: refused (4xx problem), or no answer to rely on.

    `stranger` says what an answer means that is not the API's own, where that is known.
    """
    try:
        problem = _Problem.model_validate_json(text)
    except ValidationError:
        # A proxy that answers 407 has passed nothing on.
        refused_by_proxy = stranger is not None and status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
        wait_s = _wait_s(status, retry_after)
        return NoAnswerError(stranger or _stranger(status), retry_after_s=wait_s, never_sent=refused_by_proxy)
    message, document = _described(problem, status), json.dumps(json.loads(text), ensure_ascii=False)
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return RefusedError(message, document)
    return NoAnswerError(message, document, retry_after_s=_wait_s(status, retry_after))


def _described(problem: _Problem, status: int) -> str:
    lines = [f"{problem.title}: {problem.detail} [{problem.code}, HTTP {status}]"]
    lines += [f"  {each.field}: {each.rule}" for each in problem.errors or ()]
    return "\n".join(clean(line) for line in lines)


def _stranger(status: int) -> str:
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"HTTP {status}: a redirect, which is not followed: the key must go nowhere else; is the URL right?"
    return f"HTTP {status}, and not in the API's words; is the URL right?"


def _wait_s(status: int, retry_after: str | None) -> float | None:
    """Return how long a 503 asks to be left alone; a date instead of seconds counts as the default."""
    if status != HTTPStatus.SERVICE_UNAVAILABLE:
        return None
    is_seconds = retry_after is not None and retry_after.isascii() and retry_after.isdigit()
    return float(retry_after) if is_seconds and retry_after is not None else RETRY_AFTER_DEFAULT_S
