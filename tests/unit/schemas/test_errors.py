"""The front door's error codes: each has a status, and stable words."""

import re

import pytest

from schemas.problems import STATUS_OF, ErrorCode


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_has_an_error_status(code: ErrorCode) -> None:
    assert 400 <= STATUS_OF[code] < 600


def test_no_status_without_a_code() -> None:
    assert set(STATUS_OF) == set(ErrorCode)


@pytest.mark.parametrize("code", list(ErrorCode))
def test_code_can_stand_as_a_segment_of_the_problem_type(code: ErrorCode) -> None:
    assert re.fullmatch("[a-z]+(-[a-z]+)*", code.value)


def test_codes_that_clients_switch_on_never_change() -> None:
    assert {code.value: STATUS_OF[code].value for code in ErrorCode} == {
        "validation-failed": 422,
        "malformed-request": 400,
        "body-too-large": 413,
        "request-timeout": 408,
        "unsupported-media-type": 415,
        "unauthenticated": 401,
        "forbidden": 403,
        "key-limit-reached": 409,
        "selection-changed": 409,
        "idempotency-key-reused": 409,
        "too-many-streams": 503,
        "too-many-streams-of-client": 429,
        "too-many-connections": 503,
        "number-reused": 409,
        "not-found": 404,
        "method-not-allowed": 405,
        "wrong-state": 409,
        "ledger-unavailable": 503,
        "temporal-unavailable": 503,
        "workers-unavailable": 503,
        "internal": 500,
    }
