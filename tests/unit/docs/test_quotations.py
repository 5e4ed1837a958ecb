"""Code in a document is a quotation: it occurs, word for word, in a file of a folder or file that the page links to."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.checks import REQUIREMENTS
from tests.support.documents import PAGES, ROOT, Block, blocks

SUFFIXES = {"python": ".py", "sql": ".sql"}
LINK = re.compile(r"\]\((\.\./[^)#\s]+)\)")
BROKERS = ROOT / "docs/brokers.md"
QUOTING = [(page, block) for page in PAGES for block in blocks(page) if block.language in SUFFIXES]


def sources(page: Path, suffix: str) -> Iterator[list[str]]:
    """Yield the lines of each file that a page may quote."""
    for link in set(LINK.findall(page.read_text())):
        target = (page.parent / link).resolve()
        found = target.rglob(f"*{suffix}") if target.is_dir() else [target]
        yield from (file.read_text().splitlines() for file in found if file.suffix == suffix)


def quotes(block: Block, source: list[str]) -> bool:
    """Tell whether a file has the lines of a block, one after the other, all indented by the same number of blanks."""
    for start in range(len(source) - len(block.lines) + 1):
        indent = source[start][: len(source[start]) - len(block.lines[0])]
        quoted = [f"{indent}{line}" if line else "" for line in block.lines]
        if not indent.strip() and source[start : start + len(quoted)] == quoted:
            return True
    return False


@pytest.mark.parametrize(("page", "block"), QUOTING, ids=[f"{page.name}:{block.line}" for page, block in QUOTING])
def test_code_in_a_document_is_quoted_word_for_word(page: Path, block: Block) -> None:
    assert any(quotes(block, source) for source in sources(page, SUFFIXES[block.language]))


def test_a_changed_quotation_is_noticed() -> None:
    source = ["def f():", "    if x:", "        return 1", "    return 2"]
    assert quotes(Block(BROKERS, 1, "python", ["if x:", "    return 1"]), source)
    assert not quotes(Block(BROKERS, 1, "python", ["if x:", "    return 2"]), source)
    assert not quotes(Block(BROKERS, 1, "python", ["if x:", "return 1"]), source)


def test_the_brokers_page_names_requirements_that_exist_and_links_each() -> None:
    text = BROKERS.read_text()
    named = set(re.findall(r"C-0\d\d", text))
    assert named <= set(REQUIREMENTS)
    assert set(re.findall(r"\[(C-\d+)\]\(conformance/requirements\.md#c-\d+\)", text)) == named
    assert all(number == anchor for number, anchor in re.findall(r"\[C-(\d+)\]\(\S+#c-(\d+)\)", text))
