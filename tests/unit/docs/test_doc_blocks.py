"""Every block of commands in the documents is run by a test, or says why not; and few are not."""

from pathlib import Path

import pytest

from tests.support.documents import PAGES, ROOT, blocks

NOT_RUN = {
    "docs/deployment.md": [
        "needs Docker",
        "needs a Kubernetes cluster",
        "needs Docker",
        "needs Docker",
        "needs Docker",
        "needs Docker",
        "needs Docker and Temporal Cloud",
    ],
}
"""All blocks that no test runs, with the reason that stands before each. A new one needs a good reason."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_block_is_commands_or_plain_text(page: Path) -> None:
    """`console` is run (tests/e2e/test_e2e_documents.py); so a command in a block of any other kind would not be.

    `python` and `sql` quote files of this repository (test_quotations.py).
    """
    assert {block.language for block in blocks(page)} <= {"console", "mermaid", "python", "sql", "text"}
    for block in blocks(page):
        commands = block.commands() if block.language == "console" else []
        assert bool(commands) is (block.language == "console"), block.line


def test_what_is_not_run_is_little_and_says_why() -> None:
    found = {
        str(page.relative_to(ROOT)): reasons
        for page in PAGES
        if (reasons := [block.not_run for block in blocks(page) if block.not_run])
    }
    assert found == NOT_RUN
