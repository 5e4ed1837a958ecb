"""Measures what one settlement costs, compared with a floor: `python -m bench`, `make bench`.

Every round measures each system in turn, in another order each time, so that a busy machine affects all of them. The
floor (`bench.floor`) is the least that a settlement on Temporal can cost; every figure is also shown as its multiple.

    python -m bench                                   measure, and write docs/performance.json and its picture
    python -m bench --compare docs/performance.json   measure, and exit with 1 if a ratio is worse by more than 15 %

The exit code is also 1 if an order was lost, sent twice, or not cancelled.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from bench.figures import TOLERANCE, regressions, summary
from bench.picture import picture
from bench.report import ROOT, document, figures_in, table
from bench.rounds import Plan, Round, account_of, measure
from bench.systems import FLOOR, OPTIONAL, SYSTEMS, available


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="What one settlement costs.")
    default = Plan()
    for name, value in vars(default).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"default {value:g}")
    parser.add_argument(
        "--systems", nargs="+", choices=list(SYSTEMS), help="default: all that can run here, except 'SQLite, encrypted'"
    )
    parser.add_argument("--compare", type=Path, help="an earlier performance.json; nothing is written")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="the folder to write to")
    return parser.parse_args()


async def measured(names: list[str], plan: Plan) -> list[dict[str, Round]]:
    """Measure every system in every round; each round begins with another system."""
    rounds: list[dict[str, Round]] = []
    for number in range(plan.rounds):
        first = number % len(names)
        found = {}
        for name in [*names[first:], *names[:first]]:
            found[name] = await measure(name, plan, seed=number)
            figures = found[name].figures
            print(
                f"round {number + 1} of {plan.rounds}, {name}: {figures['settlements_per_s']:.1f} settlements/s, "
                f"p50 {figures['p50_ms']:.0f} ms, CPU {figures['cpu_ms']:.1f} ms",
                flush=True,
            )
        rounds.append({name: found[name] for name in names})
    return rounds


def faults(rounds: list[dict[str, Round]]) -> list[str]:
    """Return one line for each round of a system in which an order was lost, sent twice or not cancelled."""
    return [
        f"round {number}, {name}: orders are missing or repeated: {each.account}"
        for number, one_round in enumerate(rounds, 1)
        for name, each in one_round.items()
        if not each.account.is_complete
    ]


def overloaded(rounds: list[dict[str, Round]]) -> list[str]:
    """Return one line for each round of a system in which orders were never sent: its figures are of little use."""
    return [
        f"round {number}, {name}: the machine was too busy: {each.account.never_sent} orders were never sent"
        for number, one_round in enumerate(rounds, 1)
        for name, each in one_round.items()
        if each.account.never_sent
    ]


def write(found: dict[str, Any], folder: Path) -> None:
    """Write the file and the picture."""
    texts = {
        folder / "performance.json": json.dumps(found, indent=1, ensure_ascii=False) + "\n",
        folder / "images" / "performance.svg": picture(figures_in(found)),
    }
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        # The stack keeps the files of its process private; these are documents.
        path.chmod(0o644)


def main() -> int:
    """Measure, show, and write or compare; return the exit code."""
    chosen = arguments()
    plan = Plan(**{name: getattr(chosen, name) for name in vars(Plan())})
    before = figures_in(json.loads(chosen.compare.read_text())) if chosen.compare else None
    wanted = {FLOOR, *(chosen.systems or set(SYSTEMS) - OPTIONAL)}
    names = [name for name in available() if name in wanted]
    rounds = asyncio.run(measured(names, plan))
    figures = summary([{name: each.figures for name, each in one_round.items()} for one_round in rounds])
    accounts = {name: account_of([one_round[name] for one_round in rounds]) for name in names}
    print(f"\n{table(figures)}\n")
    wrong = faults(rounds)
    if before is None:
        write(document(figures, accounts, plan), chosen.docs)
    else:
        wrong += regressions(before, figures)
    for line in overloaded(rounds) + wrong:
        print(line, file=sys.stderr)
    if before is not None and not wrong:
        print(f"no ratio is worse by more than {100 * TOLERANCE:.0f} %")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
