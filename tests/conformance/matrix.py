"""The matrix: the kit against the simulator, the reference broker and every mutant, several at the same time."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from tests.conformance.kit_runs import QUICK, KitRun, only, run_kit
from tests.conformance.subjects import NOTHING, Subject


@dataclass(frozen=True)
class Row:
    """The result for one subject."""

    subject: Subject
    problems: tuple[str, ...]
    """What is wrong with the kit's verdict, each as a sentence; empty: it is right."""
    caught_by: frozenset[str]
    elapsed_s: float


def check(subject: Subject, *, in_full: bool) -> Row:
    """Run the kit against a subject: with all requirements, or only with those that the subject breaks."""
    started = time.monotonic()
    chosen = () if in_full else only(*subject.breaks)
    try:
        with subject.serving() as endpoint:
            run = run_kit(endpoint.url, *endpoint.options, *QUICK, *chosen)
    except (RuntimeError, TimeoutError) as error:
        return Row(subject, (str(error),), NOTHING, time.monotonic() - started)
    return Row(subject, tuple(problems(subject.breaks, run)), run.failed, time.monotonic() - started)


def check_all(subjects: Sequence[Subject], *, at_once: int, in_full: bool) -> Iterator[Row]:
    """Run the kit against all subjects, several at the same time; yield each row when it is known."""
    with ThreadPoolExecutor(at_once) as pool:
        for done in as_completed([pool.submit(check, subject, in_full=in_full) for subject in subjects]):
            yield done.result()


def problems(breaks: frozenset[str], run: KitRun) -> Iterator[str]:
    """Yield what is wrong with the kit's verdict on a subject that breaks these requirements."""
    for each in sorted(breaks - run.failed):
        yield f"{each} survives: {run.outcomes.get(each, 'not in the report')} {run.reasons.get(each, '')}".rstrip()
    for each in sorted(run.failed - breaks):
        yield f"{each} fails, too: {run.reasons[each]}"
    for each in sorted(run.not_checked):
        if not breaks or "internal error" in run.reasons[each]:
            yield f"{each} is not checked: {run.reasons[each]}"
    expected = 1 if breaks else 0
    if run.exit_code != expected:
        yield f"the exit code is {run.exit_code}, not {expected}"
    if run.complaints.strip() and "Traceback" in run.complaints:
        yield f"the kit has printed a traceback: {run.complaints.strip()}"
