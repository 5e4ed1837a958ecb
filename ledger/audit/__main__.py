"""The command `python -m ledger.audit`, which `settlement audit` calls. It reads `SETTLEMENT_DATABASE_URL`.

Results go to stdout, progress and errors to stderr. Exit codes: 0 nothing found; 2 wrong usage; 3 the ledger cannot be
read; 4 something was changed, deleted or inserted.
"""

import argparse
import asyncio
import os
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from config.process import keep_files_private
from config.settings import load_settings
from ledger.audit.anchors import Anchor, AnchorError, compare, make_anchor, read_anchors
from ledger.audit.report import Report
from ledger.audit.verification import EARLIEST, Verification
from ledger.engine import open_engine
from ledger.migrate import reason

USAGE, UNREADABLE, FOUND, INTERRUPTED = 2, 3, 4, 130


async def verify(engine: AsyncEngine, arguments: argparse.Namespace, report: Report) -> None:
    """Verify what the arguments name: one number, a range of acceptance times, anchors, or everything."""
    verification = Verification(engine)
    if arguments.number is not None:
        async for step in verification.settlements_with(arguments.number):
            report.advance(report.begin(arguments.number), settlements=step.settlements, rows=step.rows)
            report.show(step.faults)
        return
    anchors = read_anchors(arguments.anchor) if arguments.anchor is not None else []
    await _verify_chains(verification, arguments, report)
    for anchor in anchors:
        await _verify_anchor(engine, anchor, report)


async def _verify_chains(verification: Verification, arguments: argparse.Namespace, report: Report) -> None:
    start = arguments.from_ or await verification.start() or EARLIEST
    before = arguments.to or datetime.now(UTC)
    task = report.begin("chains", max(0.0, (before - start).total_seconds()))
    async for step in verification.chains(start, before):
        report.advance(task, (step.until - start).total_seconds(), settlements=step.settlements, rows=step.rows)
        report.show(step.faults)
    if arguments.from_ is None and arguments.to is None:
        task = report.begin("security events")
        async for step in verification.events():
            report.advance(task, rows=step.rows)
            report.show(step.faults)
        task = report.begin("rows without a settlement")
        async for step in verification.orphans():
            report.advance(task)
            report.show(step.faults)


async def _verify_anchor(engine: AsyncEngine, anchor: Anchor, report: Report) -> None:
    task = report.begin(f"anchor {anchor.day}", anchor.settlements + anchor.rows)
    read = 0

    def count(rows: int) -> None:
        nonlocal read
        read += rows
        report.advance(task, read)

    report.show(await compare(engine, anchor, count))


async def anchor_of(engine: AsyncEngine, arguments: argparse.Namespace, report: Report) -> None:
    """Print the anchor of a day, or append it to a file."""
    task = report.begin(f"anchor {arguments.day}")
    line = (await make_anchor(engine, arguments.day, lambda rows: report.advance(task, rows=rows))).as_line()
    if arguments.output is None:
        print(line)
        return
    with arguments.output.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
        file.flush()
        os.fsync(file.fileno())


async def run(arguments: argparse.Namespace) -> int:
    """Execute a command on the ledger of the settings and return the exit code."""
    engine = open_engine(load_settings().ledger_url)
    try:
        with Report(as_json=arguments.json) as report:
            await arguments.run(engine, arguments, report)
        if arguments.run is verify:
            report.end()
    except AnchorError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except (SQLAlchemyError, OSError) as error:
        print(f"error: the ledger cannot be read: {reason(error)}", file=sys.stderr)
        return UNREADABLE
    finally:
        await engine.dispose()
    return FOUND if report.found else 0


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError
    return moment


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    program = argparse.ArgumentParser(prog="ledger.audit", description="Verify the audit of the ledger.")
    program.add_argument("--json", action="store_true", help="print each fault as one line of JSON")
    commands = program.add_subparsers(required=True)
    verifying = commands.add_parser("verify", help="find changed, deleted and inserted rows")
    verifying.add_argument("number", nargs="?", metavar="NUMBER", help="only settlements with this requestUniqueNo")
    verifying.add_argument("--from", dest="from_", type=_moment, metavar="TIME", help="accepted at or after this time")
    verifying.add_argument("--to", type=_moment, metavar="TIME", help="accepted before this time")
    verifying.add_argument("--anchor", type=Path, metavar="FILE", help="compare with the anchors in a file too")
    verifying.set_defaults(run=verify)
    anchoring = commands.add_parser("anchor", help="print the anchor of a day, to be stored elsewhere")
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    anchoring.add_argument("--day", type=date.fromisoformat, default=yesterday, metavar="DATE", help="not today")
    anchoring.add_argument("--output", type=Path, metavar="FILE", help="append it to this file instead of printing it")
    anchoring.set_defaults(run=anchor_of)
    return program


def main() -> int:
    """Run the command and return the exit code."""
    arguments = parser().parse_args()
    keep_files_private()
    try:
        return asyncio.run(run(arguments))
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
