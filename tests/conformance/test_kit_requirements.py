"""The requirements: ordered, complete, documented, and met by the simulator."""

import re

from conformance.checks import REQUIREMENTS
from conformance.listing import markdown
from tests.support.conformance_program import conformance
from tests.support.documents import ROOT

PAGE = ROOT / "docs/conformance/requirements.md"


def test_ids_are_in_order() -> None:
    assert list(REQUIREMENTS) == sorted(REQUIREMENTS)
    for each, check in REQUIREMENTS.items():
        assert re.fullmatch("C-0[0-9]{2}", each)
        assert check.requirement.id == each


def test_page_is_what_the_program_prints() -> None:
    """Write it again with `settlement-conformance requirements --markdown`."""
    assert PAGE.read_text() == "\n".join(markdown(REQUIREMENTS.values())) + "\n"


def test_every_text_is_one_paragraph_that_ends_as_a_sentence() -> None:
    for check in REQUIREMENTS.values():
        named = check.requirement
        for text in (named.rule, named.why, named.check):
            assert re.fullmatch(r"\S.*[.`]", text), (named.id, text)
            assert "  " not in text, (named.id, text)
        assert not named.title.endswith("."), named.id
        assert len(named.title) <= 100, named.id


async def test_simulator_meets_every_requirement(simulator: str) -> None:
    ran = await conformance(
        *("run", "--base-url", simulator, "--quiet", "--load-s", "2", "--repeat-after-s", "1", "--idle-s", "1"),
        *("--balance-url", f"{simulator}/simulator/accounts?thirdServerCode={{thirdServerCode}}"),
        *("--balance-pointer", "/accounts/0/balance"),
        *("--refused-metadata", '{"simulate":{"adjust":"reject"}}'),
        *("--slow-metadata", '{"simulate":{"adjust":"late","seconds":1.5}}'),
    )
    assert (ran.code, ran.out) == (0, f"CONFORMS: all {len(REQUIREMENTS)} checked requirements passed\n")
