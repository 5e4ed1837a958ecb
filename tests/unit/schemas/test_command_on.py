"""Commands in explanations can be pasted into a shell, for every possible number."""

import shlex

import pytest

from schemas.explanation import command_on
from tests.unit.contract.test_contract_settlement_no import ACCEPTED


@pytest.mark.parametrize("number", ACCEPTED.values(), ids=ACCEPTED)
def test_the_number_is_one_word_of_the_command(number: str) -> None:
    words = shlex.split(command_on(number, "retry", '--note "why"'))
    assert set(words) - {"--"} == {"settlement", "retry", number, "--note", "why"}


def test_a_number_that_starts_with_a_dash_is_not_read_as_an_option() -> None:
    assert command_on("-1", "show") == "settlement show -- -1"
    assert command_on("-1", "retry", "--reason OTHER") == "settlement retry --reason OTHER -- -1"


def test_a_plain_number_is_not_quoted() -> None:
    assert command_on("ORD-1", "show") == "settlement show ORD-1"
