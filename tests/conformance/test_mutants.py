"""Tests of the oracle: the kit fails each mutant in the requirements that it breaks, and in no others."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest

from conformance.checks import REQUIREMENTS
from tests.conformance.matrix import Row, check
from tests.conformance.mutants.table import MUTANTS
from tests.conformance.subjects import mutant_subject

AT_ONCE = 3
"""Mutants at the same time: each waits most of the time."""

Rows = dict[str, Future[Row]]


@contextmanager
def checked(request: pytest.FixtureRequest, fixture: str, *, in_full: bool) -> Iterator[Rows]:
    """Check the mutants of all chosen tests with this fixture, several at the same time; a test waits for its row."""
    items = [item for item in request.session.items if item.path == request.path and isinstance(item, pytest.Function)]
    names = [str(item.callspec.params["name"]) for item in items if fixture in item.fixturenames]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(partial(check, in_full=in_full), mutant_subject(name)) for name in names}
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> Iterator[Rows]:
    """Check each mutant only for what it breaks."""
    with checked(request, "rows", in_full=False) as found:
        yield found


@pytest.fixture(scope="module")
def full_rows(request: pytest.FixtureRequest) -> Iterator[Rows]:
    """Check each mutant for everything."""
    with checked(request, "full_rows", in_full=True) as found:
        yield found


def assert_right(row: Row) -> None:
    """Assert that the kit is right about a system; the message says what is wrong."""
    assert not row.problems, "\n".join(row.problems)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_fails_in_the_requirements_that_it_breaks(name: str, rows: Rows) -> None:
    assert_right(rows[name].result())


@pytest.mark.prove("conformance-mutants")
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_fails_in_no_other_requirement(name: str, full_rows: Rows) -> None:
    assert_right(full_rows[name].result())


def test_each_requirement_is_broken_by_a_mutant() -> None:
    """A check that cannot fail proves nothing."""
    broken = {each for mutant in MUTANTS.values() for each in mutant.breaks}
    assert set(REQUIREMENTS) - broken == set()
    assert broken <= set(REQUIREMENTS)
