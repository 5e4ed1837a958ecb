"""What every run of the tests has: the parts of the proof, their table, and how processes share the tests."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from schemathesis.pytest.plugin import SchemathesisFunction

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
    """Give each test an id of its own, and let those that take longest begin first where several processes share them.

    schemathesis names its tests after the operation, but gives all of one function the same id. pytest-xdist runs only
    one test of each id, without a warning.
    """
    for item in items:
        if isinstance(item, SchemathesisFunction):
            item._id = item.id.with_params(item.operation_label)  # noqa: SLF001 - there is no other way to set it
    repeated = sorted(node_id for node_id, count in Counter(item.nodeid for item in items).items() if count > 1)
    if repeated:
        message = f"several tests have the same id: {', '.join(repeated[:5])}"
        raise pytest.UsageError(message)
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
