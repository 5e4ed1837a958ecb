"""The API responds as its OpenAPI document says to every request that is generated from it, valid or not."""

import pytest

from tests.fuzz.api_under_attack import SCHEMA
from tests.fuzz.attack import Attack, Case

pytestmark = pytest.mark.longer("fuzzing")


@SCHEMA.parametrize()
def test_response_is_as_documented(case: Case, attack: Attack) -> None:
    attack.send(case)
