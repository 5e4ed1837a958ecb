"""Command lines that are shown to people can be pasted into a shell, whatever the number is."""

import shlex

import pytest

from schemas.explanation import command_on
from tests.unit.contract.test_contract_settlement_no import ACCEPTED


@pytest.mark.parametrize("number", ACCEPTED.values(), ids=ACCEPTED)
def test_number_is_one_word_of_the_command(number: str) -> None:
    words = shlex.split(command_on(number, "retry", '--note "why"'))
    assert set(words) - {"--"} == {"settlement", "retry", number, "--note", "why"}


def test_number_that_looks_like_an_option_is_none() -> None:
    assert command_on("-1", "show") == "settlement show -- -1"
    assert command_on("-1", "retry", "--reason OTHER") == "settlement retry --reason OTHER -- -1"


def test_plain_number_is_shown_as_it_is() -> None:
    assert command_on("ORD-1", "show") == "settlement show ORD-1"
