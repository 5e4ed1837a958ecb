"""The error codes of the API: each has an HTTP status, and their values are stable."""

import re

import pytest

from schemas.problems import STATUS_OF, ErrorCode


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_has_an_error_status(code: ErrorCode) -> None:
    assert 400 <= STATUS_OF[code] < 600


def test_every_status_belongs_to_a_code() -> None:
    assert set(STATUS_OF) == set(ErrorCode)


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_is_a_valid_segment_of_the_problem_type(code: ErrorCode) -> None:
    assert re.fullmatch("[a-z]+(-[a-z]+)*", code.value)


def test_codes_and_statuses_are_stable() -> None:
    assert {code.value: STATUS_OF[code].value for code in ErrorCode} == {
        "validation-failed": 422,
        "malformed-request": 400,
        "body-too-large": 413,
        "request-timeout": 408,
        "unsupported-media-type": 415,
        "unauthenticated": 401,
        "forbidden": 403,
        "company-forbidden": 403,
        "rate-limited": 429,
        "too-many-waits-of-client": 429,
        "key-limit-reached": 409,
        "selection-changed": 409,
        "idempotency-key-reused": 409,
        "too-many-streams": 503,
        "too-many-streams-of-client": 429,
        "too-many-connections": 503,
        "company-not-served": 422,
        "external-system-paused": 503,
        "number-reused": 409,
        "number-taken": 409,
        "second-operator-required": 403,
        "signing-keys-differ": 503,
        "amount-limit": 422,
        "batch-sum-limit": 422,
        "number-ambiguous": 409,
        "not-found": 404,
        "method-not-allowed": 405,
        "wrong-state": 409,
        "ledger-unavailable": 503,
        "temporal-unavailable": 503,
        "workers-unavailable": 503,
        "internal": 500,
    }
