"""Whatever its OpenAPI document lets one send, and more, the front door answers as that document says."""

import pytest

from tests.fuzz.attack import Attack, Case
from tests.fuzz.front_door import SCHEMA

pytestmark = pytest.mark.longer("fuzzing")


@SCHEMA.parametrize()
def test_response_is_as_documented(case: Case, door: Attack) -> None:
    door.on(case)
