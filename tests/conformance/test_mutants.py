"""Tests of the oracle: the kit fails each mutant in the requirements that it breaks, and in no others."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest

from conformance.checks import REQUIREMENTS
from tests.conformance.matrix import Row, check
from tests.conformance.mutants.table import MUTANTS
from tests.conformance.subjects import mutant_subject

AT_ONCE = 3
"""Mutants at the same time: each waits most of the time."""

Rows = dict[str, Future[Row]]


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> Iterator[Rows]:
    """Check the chosen mutants, each only for what it breaks, several at the same time; a test waits for its row."""
    items = [item for item in request.session.items if item.path == request.path and isinstance(item, pytest.Function)]
    names = [str(item.callspec.params["short"]) for item in items if "rows" in item.fixturenames]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(partial(check, in_full=False), mutant_subject(name)) for name in names}
        pool.shutdown(cancel_futures=True)


def assert_right(row: Row) -> None:
    """Assert that the kit is right about a system; the message says what is wrong."""
    assert not row.problems, "\n".join(row.problems)


@pytest.mark.parametrize("short", MUTANTS)
def test_a_mutant_fails_in_the_requirements_that_it_breaks(short: str, rows: Rows) -> None:
    assert_right(rows[short].result())


@pytest.mark.prove("conformance-mutants")
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_fails_in_no_other_requirement(name: str) -> None:
    assert_right(check(mutant_subject(name), in_full=True))


def test_each_requirement_is_broken_by_a_mutant() -> None:
    """A check that cannot fail proves nothing."""
    broken = {each for mutant in MUTANTS.values() for each in mutant.breaks}
    assert set(REQUIREMENTS) - broken == set()
    assert broken <= set(REQUIREMENTS)
