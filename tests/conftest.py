"""What every run of the tests has: the parts of the proof, their table, and how processes share the tests."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.distribution import ByFolder, sort_key
from tests.support.memory import keep_temporary_files_in_memory
from tests.support.proof_report import MARKERS, SAID, ProofReport

PROOF_REPORT = "proof report"


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers and the table at the end."""
    keep_temporary_files_in_memory()
    for line in MARKERS.values():
        config.addinivalue_line("markers", line)
    is_long = "prove" in config.option.markexpr and "not prove" not in config.option.markexpr
    config.pluginmanager.register(ProofReport(is_long=is_long), PROOF_REPORT)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the tests that take longest begin first where several processes share them."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: sort_key(item.nodeid))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Print a heading before each part of a long run."""
    report = item.config.pluginmanager.get_plugin(PROOF_REPORT)
    terminal = item.config.pluginmanager.get_plugin("terminalreporter")
    if report and terminal and (heading := report.heading_before(item.nodeid)):
        terminal.ensure_newline()
        terminal.line(heading, bold=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFolder:  # noqa: ANN401 - xdist's own
    """Share the tests by file and folder."""
    return ByFolder(config, log)


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Return what prints a line at the end of the run, whether the test passes or not."""
    return lambda line: record_property(SAID, line)
