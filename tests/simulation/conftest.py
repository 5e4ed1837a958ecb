"""One world for all tests of a file, and what they counted, said at the end of the run."""

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from tests.simulation.run import new_world
from tests.simulation.world import World

_SAID: list[str] = []


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def small_world() -> AsyncIterator[World]:
    """Yield a world of the product's own workflow and activities; while it is there, lost workers are noticed soon."""
    async with new_world() as made:
        yield made


@pytest.fixture
def say() -> Callable[[str], None]:
    """Return what puts a line at the end of the run, whether the test passes or not."""
    return _SAID.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was counted."""
    if _SAID:
        terminalreporter.section("proof under faults")
        for line in _SAID:
            terminalreporter.line(line)
        _SAID.clear()
