"""`make chaos`: one chaos run of faults for each kind of ledger, then a check of the invariant, a report and a chart.

Exit status 0: no violation, and orders were settled again after every fault; 1: otherwise; 130: interrupted.
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from rich.console import Console

from stack.process import StackError
from tests.chaos.chaos_run import ChaosPlan, ChaosResult, chaos_run
from tests.chaos.chaos_stack import LedgerKind
from tests.chaos.picture import chart
from tests.chaos.report import report_text

CONSOLE = Console(highlight=False, soft_wrap=True)
RATE_PER_S = 6.0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--ledger", choices=[*LedgerKind], action="append", help="default: one chaos run on each")
    parser.add_argument("--settlements", type=int, default=1_000, help="minimum in each chaos run (default 1000)")
    parser.add_argument("--kills", type=int, default=15, help="in each chaos run (default 15)")
    parser.add_argument("--rate", type=float, default=RATE_PER_S, help=f"orders a second (default {RATE_PER_S:g})")
    parser.add_argument("--seed", type=int, default=1, help="seed of orders, faults and network (default 1)")
    parser.add_argument(
        "--into",
        type=Path,
        default=Path("build/chaos"),
        help="folder for logs, report and charts (default build/chaos)",
    )
    return parser.parse_args()


async def run(chosen: argparse.Namespace) -> list[ChaosResult]:
    """Run the chaos runs one after the other. An interrupt stops and unmounts everything."""
    whole = asyncio.current_task()
    assert whole is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, whole.cancel)
    results = []
    for kind in chosen.ledger or LedgerKind:
        plan = ChaosPlan(LedgerKind(kind), chosen.settlements, chosen.kills, chosen.rate, chosen.seed)
        CONSOLE.print(
            f"\n[bold]chaos run on {kind}[/]: ≥ {plan.settlements} orders, {plan.kills} kills, seed {plan.seed}"
        )
        ran = await chaos_run(
            plan, chosen.into.absolute() / kind, lambda line: CONSOLE.print(f"  {line}", markup=False)
        )
        (chosen.into / f"{kind}.svg").write_text(chart(ran))
        CONSOLE.print(f"\n{report_text(ran)}", markup=False)
        results.append(ran)
    return results


def main() -> int:
    """Run the chaos runs, write the report, and print where it is."""
    chosen = arguments()
    try:
        results = asyncio.run(run(chosen))
    except asyncio.CancelledError:
        CONSOLE.print("interrupted; everything is stopped")
        return 130
    except StackError as error:
        CONSOLE.print(str(error), markup=False)
        return 1
    report = "\n\n".join(report_text(each) for each in results)
    (chosen.into / "report.md").write_text(report + "\n")
    CONSOLE.print(f"\nreport, charts and logs: {os.path.relpath(chosen.into)}", markup=False)
    clean = all(
        not each.assessment.violations and all(injected.recovered_s for injected in each.injected) for each in results
    )
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
