"""`make conformance`: checks the conformance kit on the simulator, on the reference broker and on every mutant.

Exit status 0: the kit passes the correct systems, and fails each mutant in the declared requirements and no others;
1: otherwise, with the reasons; 2: wrong usage.
"""

import argparse
import sys
import time

from rich.console import Console

from tests.conformance.matrix import Row, check_all
from tests.conformance.mutants.table import MUTANTS
from tests.conformance.subjects import CORRECT, mutant_subject

CONSOLE = Console(highlight=False, soft_wrap=True)
_WIDTH = max(len(name) for name in MUTANTS)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants to check; default: all, and correct systems")
    parser.add_argument("--at-once", type=int, default=4, help="subjects at the same time (default 4)")
    parser.add_argument("--declared", action="store_true", help="check only the requirements that a mutant breaks")
    chosen = parser.parse_args()
    if unknown := sorted(set(chosen.names) - set(MUTANTS)):
        parser.error(f"no such mutant: {', '.join(unknown)}")
    return chosen


def line(*cells: str) -> str:
    """Return the cells of one row: mutant, requirements expected, caught by, time."""
    name, expected, caught_by, time_s = cells
    return f"{name:{_WIDTH}}  {expected:22}  {caught_by:22}  {time_s:>6}"


def show(row: Row) -> None:
    """Print one row, and below it what is wrong."""
    expected, caught_by = (", ".join(sorted(each)) or "none" for each in (row.subject.breaks, row.caught_by))
    style = "red" if row.problems else None
    CONSOLE.print(line(row.subject.name, expected, caught_by, f"{row.elapsed_s:.0f} s"), style=style, markup=False)
    for problem in row.problems:
        CONSOLE.print(f"    {problem}", style=style, markup=False)


def main() -> int:
    """Run the matrix, and print a row for each subject and the sum."""
    chosen = arguments()
    subjects = [mutant_subject(name) for name in chosen.names or MUTANTS]
    if not chosen.names:
        subjects = [*CORRECT, *subjects]
    started = time.monotonic()
    CONSOLE.print(line("system", "must fail", "fails", "time"), style="bold")
    wrong = 0
    for row in check_all(subjects, at_once=chosen.at_once, in_full=not chosen.declared):
        show(row)
        wrong += bool(row.problems)
    right = len(subjects) - wrong
    CONSOLE.print(f"\nthe kit is right about {right} of {len(subjects)} systems, {time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
