"""The verdict of a run, and everything that its reports show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from conformance.requirement import Outcome, Result


class Verdict(StrEnum):
    """The verdict of a run."""

    CONFORMS = "CONFORMS"
    """Every checked requirement passed. Those without an option were not checked; the sentence names them."""
    DOES_NOT_CONFORM = "DOES_NOT_CONFORM"
    """At least one requirement failed."""
    NOT_DECIDED = "NOT_DECIDED"
    """Nothing failed, but the endpoint was not reached, the run ended early, or a requirement could not be checked."""


KIT_ERROR = "internal error of the kit"
"""How the reason begins if a check ended with an exception."""
EXIT_CODES = {Verdict.CONFORMS: 0, Verdict.DOES_NOT_CONFORM: 1, Verdict.NOT_DECIDED: 3}
"""The exit codes of `settlement-conformance run`; 2 is wrong usage."""


@dataclass(frozen=True)
class RunReport:
    """One run: its verdict, its results and how it was made. It contains no secrets."""

    verdict: Verdict
    sentence: str
    """The verdict in one sentence, such as "DOES NOT CONFORM: 2 of 48 requirements failed (C-012, C-044)"."""
    base_url: str
    started_at: datetime
    elapsed_s: float
    kit_version: str
    seed: int
    settings: Mapping[str, str]
    """The options as given, without secrets."""
    results: tuple[Result, ...]
    """One for each selected requirement, ordered by id."""
    latencies_s: tuple[tuple[float, float], ...]
    """For every complete reply: seconds from the start of the run to the start of the exchange, and its `elapsed_s`."""


def judge(results: Sequence[Result], ended_early: str | None) -> tuple[Verdict, str]:
    """Return the verdict and its sentence. `ended_early` says why the run did not check everything; None if it did."""
    failed = [each for each in results if each.outcome is Outcome.FAILED]
    passed = [each for each in results if each.outcome is Outcome.PASSED]
    not_checked = [each for each in results if each.outcome is Outcome.NOT_CHECKED]
    rest = f"; {len(not_checked)} not checked ({_ids(not_checked)})" if not_checked else ""
    if failed:
        checked = len(failed) + len(passed)
        sentence = f"DOES NOT CONFORM: {len(failed)} of {checked} checked requirements failed ({_ids(failed)}){rest}"
        return Verdict.DOES_NOT_CONFORM, sentence
    if ended_early is not None:
        return Verdict.NOT_DECIDED, f"NOT DECIDED: {ended_early}; {len(passed)} requirements passed{rest}"
    if unsettled := [each for each in not_checked if _is_unsettled(each)]:
        return Verdict.NOT_DECIDED, f"NOT DECIDED: nothing failed, but {_ids(unsettled)} could not be checked{rest}"
    if not passed:
        return Verdict.NOT_DECIDED, f"NOT DECIDED: no requirement was checked{rest}"
    return Verdict.CONFORMS, f"CONFORMS: all {len(passed)} checked requirements passed{rest}"


def _is_unsettled(result: Result) -> bool:
    """Tell whether the endpoint or the kit itself is the reason why a requirement was not checked, and no option."""
    return result.reason.endswith("must pass first") or result.reason.startswith(KIT_ERROR)


def _ids(results: Sequence[Result]) -> str:
    return ", ".join(each.requirement.id for each in results)
