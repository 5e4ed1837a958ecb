"""Code cites a clause of the contract or a step of the architecture by its anchor: `docs/contract.md#table-1`.

That the anchors exist is checked in `test_doc_links.py`, as for every mention of a document.
"""

import re

import pytest

from tests.support.documents import PAGES, ROOT
from tests.support.links import mentioning

CLAUSE = r"(?:rules? \d|tables? \d|interpretations?\b|cancel replies|three operations|\"[A-Z])"
WITHOUT_ANCHOR = re.compile(
    rf"\bcontract, {CLAUSE}|\bdesign, steps? \d|\((?:rules? \d|tables? \d|interpretations\b)", re.IGNORECASE
)
OWN = "test_citations.py"
CITING = [path for path in mentioning() if path.name != OWN]


def as_one_line(text: str) -> str:
    """Return a text without its line breaks, so that a citation is found across two lines."""
    return re.sub(r"\s+(?:# )?", " ", text)


def test_every_citation_of_a_clause_names_its_anchor() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in [*CITING, *PAGES]
        for found in WITHOUT_ANCHOR.finditer(as_one_line(path.read_text(errors="replace")))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "text",
    [
        "as is (contract, table 1)",
        "as is (contract, rule 3), and",
        "as is (contract,\n    interpretations)",
        '(contract, "Repeating an adjust")',
        "(a setting; contract, table 4 and interpretations)",
        "(design, step 8)",
        "(table 2, requestUniqueNo)",
        "(tables 1 to 4)",
    ],
)
def test_a_citation_without_an_anchor_is_noticed(text: str) -> None:
    assert WITHOUT_ANCHOR.search(as_one_line(text))


@pytest.mark.parametrize(
    "text", ["(docs/contract.md#table-1)", "models of the contract, and how", "a reply of table 4"]
)
def test_other_text_is_no_citation(text: str) -> None:
    assert not WITHOUT_ANCHOR.search(as_one_line(text))
