"""A pytest plugin: at the end of a run, one table says what each part proved, and each skip is named with its reason.

It works with and without pytest-xdist: what it needs of a test travels in the test's report.
"""

from collections import Counter
from dataclasses import dataclass, field

import pytest

from tests.support.proof_parts import FOLDERS, LONG_PARTS, folder_of

MARKERS = {
    "prove": "prove(part): a long test that runs in `make prove` only",
    "longer": "longer(part): runs in `make test`, and in `make prove` with more cases",
}
PART, SAID = "part", "said"
"""Names among a report's properties."""
_HEADINGS = ("part", "passed", "failed", "skipped", "seconds", "proves")


@dataclass
class Part:
    """The results of one part's tests."""

    outcomes: dict[str, str] = field(default_factory=dict)
    """By test: passed, failed or skipped."""
    seconds: float = 0.0
    """Sum over its tests. Parts run side by side, so the sum over all parts exceeds the time of the run."""

    def add(self, report: pytest.TestReport) -> None:
        """Add the report of one phase of a test; a failure in any phase counts."""
        self.seconds += report.duration
        if report.when == "call" or report.outcome != "passed":
            before = self.outcomes.get(report.nodeid)
            self.outcomes[report.nodeid] = "failed" if "failed" in {before, report.outcome} else report.outcome

    def row(self, name: str) -> tuple[str, ...]:
        """Return the part's cells in the table."""
        counts = Counter(self.outcomes.values())
        numbers = (str(counts[outcome]) for outcome in ("passed", "failed", "skipped"))
        return (name, *numbers, f"{self.seconds:.0f}", promise(name))


def promise(name: str) -> str:
    """Return what a part proves."""
    return LONG_PARTS.get(name) or FOLDERS.get(name, "")


class ProofReport:
    """Collects the reports of a run by part."""

    def __init__(self, *, is_long: bool) -> None:
        self._is_long = is_long
        self._part_of: dict[str, str] = {}
        """Of the tests of a long run, in the order in which they run."""
        self._current: str | None = None
        """The part whose heading was printed last."""
        self._parts: dict[str, Part] = {}
        self._skips: Counter[tuple[str, str]] = Counter()
        self._said: list[str] = []

    def part_of(self, item: pytest.Item) -> str:
        """Return the part that a test counts for in this run."""
        marker = item.get_closest_marker("prove") or item.get_closest_marker("longer")
        if marker is not None and (self._is_long or marker.name == "prove"):
            return str(marker.args[0])
        return folder_of(item.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Give each test its part, and run long parts one after the other."""
        for item in items:
            item.user_properties.append((PART, self.part_of(item)))
        if self._is_long:
            order = list(LONG_PARTS)
            items.sort(key=lambda item: order.index(self.part_of(item)))
            self._part_of = {item.nodeid: self.part_of(item) for item in items}

    def heading_before(self, node_id: str) -> str | None:
        """Return the heading of the part that begins with a test; None if it begins none, or has begun already."""
        parts = list(dict.fromkeys(self._part_of.values()))
        part = self._part_of.get(node_id)
        if part is None or part == self._current:
            return None
        self._current = part
        return f"part {parts.index(part) + 1} of {len(parts)}, {part}: {promise(part)}"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one phase of a test."""
        properties = dict(report.user_properties)
        self._parts.setdefault(str(properties.get(PART, "?")), Part()).add(report)
        if report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2]
            self._skips[report.nodeid.partition("::")[0], reason.removeprefix("Skipped: ")] += 1
        if report.when == "teardown":
            self._said += [str(value) for name, value in report.user_properties if name == SAID]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        if not self._parts:
            return
        for title, lines in (("proof under faults", self._said), ("what was proved", self.table())):
            if lines:
                terminalreporter.section(title)
                for line in lines:
                    terminalreporter.line(line)

    def table(self) -> list[str]:
        """Return the lines of the table, and one line for each reason why tests were skipped."""
        order = [*FOLDERS, *LONG_PARTS]
        names = sorted(self._parts, key=lambda name: order.index(name) if name in order else len(order))
        rows = [_HEADINGS, *(self._parts[name].row(name) for name in names)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS) - 1)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:-1], widths[1:]), row[-1]]).rstrip()
            for row in rows
        ]
        skips = [f"skipped: {count} in {path}: {reason}" for (path, reason), count in sorted(self._skips.items())]
        return lines + skips
