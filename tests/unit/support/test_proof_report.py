"""The table at the end of a run: each test belongs to a part, each outcome is counted, each skip has its reason."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.proof_parts import FOLDERS, LONG_PARTS, folder_of
from tests.support.proof_report import MARKERS, PART, ProofReport

TESTS = Path(__file__).parents[2]
MODULES = sorted(TESTS.rglob("test_*.py"))


def report(test: str, outcome: Any = "passed", when: Any = "call", part: str = "ledger") -> pytest.TestReport:  # noqa: ANN401 - pytest's own shape
    reason = ("file", 1, "Skipped: no database") if outcome == "skipped" else None
    node_id = f"tests/{part}/test_x.py::{test}"
    return pytest.TestReport(
        node_id, ("file", 1, test), {}, outcome, reason, when, duration=0.4, user_properties=[(PART, part)]
    )


def table(*reports: pytest.TestReport) -> list[str]:
    proof = ProofReport(is_long=False)
    for each in reports:
        proof.pytest_runtest_logreport(each)
    return proof.table()


def test_each_part_has_a_row_with_its_counts() -> None:
    _, first, second = table(report("test_a"), report("test_b", "failed"), report("test_c", part="api"))
    assert first.split()[:5] == ["ledger", "1", "1", "0", "1"]
    assert second.split()[:5] == ["api", "1", "0", "0", "0"]
    assert FOLDERS["ledger"] in first


def test_a_failure_in_any_phase_counts_once() -> None:
    phases = [report("test_a", when="setup"), report("test_a"), report("test_a", "failed", when="teardown")]
    assert table(*phases)[1].split()[1:4] == ["0", "1", "0"]


def test_each_skip_is_named_with_its_reason() -> None:
    _, row, skip = table(report("test_a", "skipped", when="setup"), report("test_b", "skipped", when="setup"))
    assert row.split()[1:4] == ["0", "0", "2"]
    assert skip == "skipped: 2 in tests/ledger/test_x.py: no database"


def test_every_test_module_belongs_to_a_part_and_every_part_has_one() -> None:
    folders = {folder_of(str(module.relative_to(TESTS.parent))) for module in MODULES}
    assert folders == set(FOLDERS)


class Long:
    """A test with the marker `prove`, as far as the report looks at it."""

    def __init__(self, name: str, part: str) -> None:
        self.nodeid = f"tests/e2e/test_x.py::{name}"
        self.user_properties: list[tuple[str, object]] = []
        self._mark = pytest.Mark("prove", (part,), {}, _ispytest=True)

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        """Return the marker if it has this name."""
        return self._mark if name == self._mark.name else None


def test_a_long_run_goes_part_by_part_and_says_which_one_begins() -> None:
    proof = ProofReport(is_long=True)
    items: list[Any] = [Long("a", "seeds"), Long("b", "chaos-run"), Long("c", "seeds")]
    proof.pytest_collection_modifyitems(items)
    assert [item.nodeid[-1] for item in items] == ["b", "a", "c"]
    assert [(proof.heading_before(item.nodeid) or "").partition(":")[0] for item in items] == [
        "part 1 of 2, chaos-run",
        "part 2 of 2, seeds",
        "",
    ]


def marked_parts() -> Iterator[tuple[str, str]]:
    """Yield marker and part of every `pytest.mark.prove` and `pytest.mark.longer`."""
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MARKERS:
                (part,) = node.args
                yield node.func.attr, ast.literal_eval(part)


def test_every_long_part_has_a_test() -> None:
    assert {part for _, part in marked_parts()} == set(LONG_PARTS)
