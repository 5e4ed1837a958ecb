"""docs/contract.md and docs/architecture.md say the same as the published OpenAPI documents and the code."""

import re
from typing import Any

import pytest

from settlement.states import TRANSITIONS, State
from tests.conformity.reading import ADJUST, CANCEL_ADJUST, CANCEL_OPERATION, Published
from tests.support.documents import ROOT, blocks

CONTRACT = (ROOT / "docs/contract.md").read_text()
ARCHITECTURE = ROOT / "docs/architecture.md"
BODIES = {"Table 1": ADJUST, "Table 2": CANCEL_ADJUST, "Table 3": CANCEL_OPERATION}


def section(heading: str) -> str:
    """Return the text between a heading and the next one."""
    found = re.search(rf"^#+ {heading}\n(.*?)(?=^#|\Z)", CONTRACT, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return found[1]


def rows(heading: str) -> dict[str, list[str]]:
    """Return the rows of a section's first table by the name in their first cell."""
    table = section(heading).partition("\n\n|")[2].partition("\n\n")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {row[0].strip("`"): row[1:] for row in cells if row[0].startswith("`")}


def described(schema: dict[str, Any]) -> str:
    """Return a type as the tables write it."""
    bound = f", at most {schema['maxLength']} characters" if "maxLength" in schema else ""
    return f"{schema['type']}{', int64' if 'format' in schema else ''}{bound}"


@pytest.mark.parametrize(("heading", "published"), BODIES.items(), ids=BODIES)
def test_a_table_has_the_fields_of_the_published_body(heading: str, published: Published) -> None:
    expected = {
        name: [described(schema), "yes" if name in published.body["required"] else "no"]
        for name, schema in published.body["properties"].items()
    }
    assert {name: cells[:2] for name, cells in rows(heading).items()} == expected


@pytest.mark.parametrize("published", BODIES.values(), ids=BODIES)
def test_table_4_has_the_fields_of_every_published_reply(published: Published) -> None:
    expected = {name: described(schema) for name, schema in published.reply["properties"].items()}
    assert {name: cells[0] for name, cells in rows("Table 4").items()} == expected


@pytest.mark.parametrize("published", [ADJUST, CANCEL_ADJUST], ids=["adjust", "cancel adjust"])
def test_the_headers_are_the_published_ones(published: Published) -> None:
    expected = {
        each["name"]: [each["schema"]["type"], "yes" if each["required"] else "no"] for each in published.parameters
    }
    assert {name: cells[:2] for name, cells in rows("Headers").items()} == expected


def test_the_headers_of_the_deprecated_operation_are_the_published_ones() -> None:
    named = re.findall(r"`(\w+)`", section("Headers").rpartition("optional strings:")[2])
    assert named == [each["name"] for each in CANCEL_OPERATION.parameters]
    assert not any(each["required"] for each in CANCEL_OPERATION.parameters)


def test_every_operation_is_named_with_its_published_path() -> None:
    for published in BODIES.values():
        assert f"`{published.method.upper()} {published.path}`" in section("Operations")


def test_the_state_diagram_has_exactly_the_transitions_of_the_code() -> None:
    [diagram] = [block for block in blocks(ARCHITECTURE) if block.lines[0].startswith("stateDiagram")]
    arrows = re.findall(r"^ *(\S+) --> (\S+?)(?:$|:| )", "\n".join(diagram.lines), re.MULTILINE)
    expected = {(state.value, after.value) for state, following in TRANSITIONS.items() for after in following}
    ends = {(state.value, "[*]") for state, following in TRANSITIONS.items() if not following}
    assert set(arrows) == expected | ends | {("[*]", State.ADJUSTING.value)}
