"""Where the documents and the code point: anchors of a page, dead links, and files that may name a document."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.support.documents import ROOT, blocks

_SUFFIXES = {".py", ".yml", ".yaml", ".json", ".sh", ".toml", ".sql", ".example", ""}
_SKIPPED_FOLDERS = {"build", "dist", "histories"}


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
    """Tell whether a link leads nowhere: its file or its heading does not exist."""
    return not target.exists() or (bool(anchor) and anchor.removeprefix("#") not in anchors(target))


def mentioning() -> Iterator[Path]:
    """Yield every file that may name a document: code, rules, dashboards, scripts, configuration."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in parts[:-1])
        if not hidden and not _SKIPPED_FOLDERS & set(parts) and path.suffix in _SUFFIXES and path.is_file():
            yield path
