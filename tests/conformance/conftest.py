"""A simulator for the tests that need a correct external system."""

from collections.abc import Iterator

import pytest

from simulator.server import serving


@pytest.fixture(scope="module")
def simulator() -> Iterator[str]:
    """Run one simulator for the tests of a module; yield its base URL."""
    with serving() as url:
        yield url
