"""Every link and every mention of a document leads to a file that exists, and to a heading of it."""

import re
from pathlib import Path

import pytest

from tests.support.documents import PAGES, ROOT
from tests.support.links import anchors, dead, mentioning

WRITTEN = {"report.md"}
"""What a program writes, and no document of this repository."""
LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)", re.MULTILINE)
MENTION = re.compile(r"\b((?:[\w.-]+/)*[\w-]+\.md)(#[\w-]+)?")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = [inline or reference for inline, reference in LINK.findall(page.read_text())]
    internal = [link for link in links if not link.startswith(("http://", "https://", "mailto:"))]
    wrong = []
    for link in internal:
        path, _, anchor = link.partition("#")
        if dead(page.parent / path if path else page, anchor):
            wrong.append(link)
    assert wrong == []


def test_code_rules_and_dashboards_name_documents_and_sections_that_exist() -> None:
    wrong = []
    for path in mentioning():
        if path.name in {Path(__file__).name, "test_document_shapes.py"}:
            continue
        text = re.sub(r"https?://[\w.-]+/\S*/docs/", "docs/", path.read_text(errors="replace"))
        for name, anchor in MENTION.findall(text):
            places = (ROOT / name, path.parent / name, ROOT / "docs" / name)
            target = next((place for place in places if place.exists()), places[0])
            if name not in WRITTEN and dead(target, anchor):
                wrong.append(f"{path.relative_to(ROOT)}: {name}{anchor}")
    assert wrong == []


def test_a_dead_anchor_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# The `Title`, here\n## Twice\n## Twice\n```text\n# no heading\n```\n")
    assert anchors(page) == {"the-title-here", "twice", "twice-1"}
    assert dead(page, "no-heading")
    assert dead(tmp_path / "other.md", "")
    assert not dead(page, "twice")
