"""`make chaos`: a bounded storm on each kind of ledger, then the invariant, a report and a picture of it.

Exit status 0: no violation, and orders were settled again after every strike; 1: otherwise; 130: it was interrupted.
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from rich.console import Console

from stack.process import StackError
from tests.chaos.ground import LedgerKind
from tests.chaos.picture import picture
from tests.chaos.report import in_words
from tests.chaos.storm import Storm, StormPlan, storm

CONSOLE = Console(highlight=False, soft_wrap=True)
RATE_PER_S = 6.0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--ledger", choices=[*LedgerKind], action="append", help="default: one storm on each")
    parser.add_argument("--settlements", type=int, default=1_000, help="at least so many in each storm (default 1000)")
    parser.add_argument("--kills", type=int, default=15, help="in each storm (default 15)")
    parser.add_argument("--rate", type=float, default=RATE_PER_S, help=f"orders a second (default {RATE_PER_S:g})")
    parser.add_argument("--seed", type=int, default=1, help="of orders, strikes and network (default 1)")
    parser.add_argument("--into", type=Path, default=Path("build/chaos"), help="logs, report, pictures (build/chaos)")
    return parser.parse_args()


async def run(chosen: argparse.Namespace) -> list[Storm]:
    """Run the storms, one after the other; an interrupt ends and unmounts everything on its way out."""
    whole = asyncio.current_task()
    assert whole is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, whole.cancel)
    storms = []
    for kind in chosen.ledger or LedgerKind:
        plan = StormPlan(LedgerKind(kind), chosen.settlements, chosen.kills, chosen.rate, chosen.seed)
        CONSOLE.print(f"\n[bold]storm on {kind}[/]: ≥ {plan.settlements} orders, {plan.kills} kills, seed {plan.seed}")
        ran = await storm(plan, chosen.into.absolute() / kind, lambda line: CONSOLE.print(f"  {line}", markup=False))
        (chosen.into / f"{kind}.svg").write_text(picture(ran))
        CONSOLE.print(f"\n{in_words(ran)}", markup=False)
        storms.append(ran)
    return storms


def main() -> int:
    """Run, report, and say where the pictures are."""
    chosen = arguments()
    try:
        storms = asyncio.run(run(chosen))
    except asyncio.CancelledError:
        CONSOLE.print("interrupted; everything is stopped")
        return 130
    except StackError as error:
        CONSOLE.print(str(error), markup=False)
        return 1
    report = "\n\n".join(in_words(each) for each in storms)
    (chosen.into / "report.md").write_text(report + "\n")
    CONSOLE.print(f"\nreport, pictures and logs: {os.path.relpath(chosen.into)}", markup=False)
    clean = all(not each.verdict.violations and all(struck.recovered_s for struck in each.struck) for each in storms)
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
