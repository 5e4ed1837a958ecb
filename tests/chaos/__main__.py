"""`make chaos`: one storm of faults for each kind of ledger, then a check of the invariant, a report and a chart.

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
from tests.chaos.chaos_stack import LedgerKind
from tests.chaos.picture import chart
from tests.chaos.report import report_text
from tests.chaos.storm import Storm, StormPlan, storm

CONSOLE = Console(highlight=False, soft_wrap=True)
RATE_PER_S = 6.0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--ledger", choices=[*LedgerKind], action="append", help="default: one storm on each")
    parser.add_argument("--settlements", type=int, default=1_000, help="minimum in each storm (default 1000)")
    parser.add_argument("--kills", type=int, default=15, help="in each storm (default 15)")
    parser.add_argument("--rate", type=float, default=RATE_PER_S, help=f"orders a second (default {RATE_PER_S:g})")
    parser.add_argument("--seed", type=int, default=1, help="seed of orders, faults and network (default 1)")
    parser.add_argument(
        "--into",
        type=Path,
        default=Path("build/chaos"),
        help="folder for logs, report and charts (default build/chaos)",
    )
    return parser.parse_args()


async def run(chosen: argparse.Namespace) -> list[Storm]:
    """Run the storms one after the other. An interrupt stops and unmounts everything."""
    whole = asyncio.current_task()
    assert whole is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, whole.cancel)
    storms = []
    for kind in chosen.ledger or LedgerKind:
        plan = StormPlan(LedgerKind(kind), chosen.settlements, chosen.kills, chosen.rate, chosen.seed)
        CONSOLE.print(f"\n[bold]storm on {kind}[/]: ≥ {plan.settlements} orders, {plan.kills} kills, seed {plan.seed}")
        ran = await storm(plan, chosen.into.absolute() / kind, lambda line: CONSOLE.print(f"  {line}", markup=False))
        (chosen.into / f"{kind}.svg").write_text(chart(ran))
        CONSOLE.print(f"\n{report_text(ran)}", markup=False)
        storms.append(ran)
    return storms


def main() -> int:
    """Run the storms, write the report, and print where it is."""
    chosen = arguments()
    try:
        storms = asyncio.run(run(chosen))
    except asyncio.CancelledError:
        CONSOLE.print("interrupted; everything is stopped")
        return 130
    except StackError as error:
        CONSOLE.print(str(error), markup=False)
        return 1
    report = "\n\n".join(report_text(each) for each in storms)
    (chosen.into / "report.md").write_text(report + "\n")
    CONSOLE.print(f"\nreport, charts and logs: {os.path.relpath(chosen.into)}", markup=False)
    clean = all(
        not each.assessment.violations and all(injected.recovered_s for injected in each.injected) for each in storms
    )
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
