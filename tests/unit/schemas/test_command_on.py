"""Commands in explanations can be pasted into a shell, for every possible number."""

import shlex

import pytest

from schemas.explanation import command_on
from tests.unit.contract.test_contract_settlement_no import ACCEPTED


@pytest.mark.parametrize("number", ACCEPTED.values(), ids=ACCEPTED)
def test_the_number_is_one_word_of_the_command(number: str) -> None:
    words = shlex.split(command_on(number, "retry", '--note "why"', system="alpha"))
    assert set(words) - {"--"} == {"settlement", "retry", number, "--system", "alpha", "--note", "why"}


def test_a_number_that_starts_with_a_dash_is_not_read_as_an_option() -> None:
    assert command_on("-1", "show", system=None) == "settlement show -- -1"
    with_options = command_on("-1", "retry", "--reason OTHER", system="alpha")
    assert with_options == "settlement retry --system alpha --reason OTHER -- -1"


def test_a_plain_number_is_not_quoted() -> None:
    assert command_on("ORD-1", "show", system=None) == "settlement show ORD-1"
    assert command_on("ORD-1", "show", system="alpha") == "settlement show ORD-1 --system alpha"
