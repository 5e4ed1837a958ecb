"""Every link and every mention of a document leads to a file that exists, and to a heading of it."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documents import PAGES, ROOT, blocks

MENTIONING = {".py", ".yml", ".yaml", ".json", ".sh", ".toml", ".sql", ".example", ""}
NOT_OURS = {"build", "dist", "histories"}
WRITTEN = {"report.md"}
"""What a program writes, and no document of this repository."""
LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)", re.MULTILINE)
MENTION = re.compile(r"\b((?:[\w.-]+/)*[\w-]+\.md)(#[\w-]+)?")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = page.read_text()
    for block in blocks(page):
        text = text.replace("\n".join(block.lines), "", 1)
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ +(.+?)\s*$", text, re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w -]", "", shown.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def dead(target: Path, anchor: str) -> bool:
    """Tell whether a link leads nowhere."""
    return not target.exists() or (bool(anchor) and anchor.removeprefix("#") not in anchors(target))


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


def mentioning() -> Iterator[Path]:
    """Yield every file of ours that may name a document: code, rules, dashboards, scripts, configuration."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in parts[:-1])
        if not hidden and not NOT_OURS & set(parts) and path.suffix in MENTIONING and path.is_file():
            yield path


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
