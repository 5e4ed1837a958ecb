"""Figures and order that all reports share."""

from typing import NamedTuple

from conformance.requirement import Outcome, Result
from conformance.verdict import RunReport


class Counts(NamedTuple):
    """Number of requirements by outcome."""

    failed: int
    not_checked: int
    passed: int


def counts(report: RunReport) -> Counts:
    """Return the number of requirements by outcome."""
    return Counts(*(len(with_outcome(report, outcome)) for outcome in ORDER))


def with_outcome(report: RunReport, outcome: Outcome) -> list[Result]:
    """Return the results with one outcome, in the order of the run."""
    return [result for result in report.results if result.outcome is outcome]


ORDER = (Outcome.FAILED, Outcome.NOT_CHECKED, Outcome.PASSED)
"""The order in which a reader needs them."""
