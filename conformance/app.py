"""The command line: `settlement-conformance run` and `settlement-conformance requirements`."""

import asyncio
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from conformance import arguments, listing
from conformance.checks import REQUIREMENTS
from conformance.console import Screen
from conformance.dry_run import curl_commands
from conformance.options import OptionError
from conformance.report.files import write_reports
from conformance.requirement import Check
from conformance.run import Limits, Runner
from conformance.settings import settings_of, target_of
from conformance.target import Target
from conformance.verdict import EXIT_CODES

USAGE, INTERNAL_ERROR, OUTPUT_CLOSED = 2, 70, 141
_EXIT_CODES = """\b
Exit codes:
    0  every checked requirement passed
    1  at least one requirement failed
    2  wrong usage; nothing was sent
    3  nothing failed, but the endpoint was not reached, the run ended early, or a requirement could not be checked
   70  internal error of this program
  130  Ctrl-C
  141  the reader of the output has ended
"""
_PLAIN = Target("")
"""The defaults."""

app = typer.Typer(
    name="settlement-conformance",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EXIT_CODES,
)


@app.callback()
def program() -> None:
    """Check the external system of a broker against the wire contract, from outside, over HTTP."""


@app.command("run", epilog=_EXIT_CODES)
def run_checks(
    context: typer.Context,
    *,
    base_url: arguments.BaseUrl = None,
    adjust_path: arguments.AdjustPath = _PLAIN.adjust_path,
    cancel_adjust_path: arguments.CancelAdjustPath = _PLAIN.cancel_adjust_path,
    cancel_operation_path: arguments.CancelOperationPath = _PLAIN.cancel_operation_path,
    protocol: arguments.ProtocolOption = _PLAIN.protocol,
    company: arguments.Company = None,
    header: arguments.HeaderOption = None,
    ca_file: arguments.CaFile = None,
    code: arguments.Code = None,
    business_status: arguments.BusinessStatus = None,
    customer: arguments.Customer = None,
    user: arguments.User = None,
    currency: arguments.CurrencyOption = _PLAIN.account.currency,
    refused_metadata: arguments.RefusedMetadata = None,
    refused_customer: arguments.RefusedCustomer = None,
    slow_metadata: arguments.SlowMetadata = None,
    slow_customer: arguments.SlowCustomer = None,
    balance_url: arguments.BalanceUrl = None,
    balance_pointer: arguments.BalancePointer = None,
    repeat_after_s: arguments.RepeatAfterS = _PLAIN.repeat_after_s,
    load_per_s: arguments.LoadPerS = _PLAIN.load_per_s,
    load_s: arguments.LoadS = _PLAIN.load_s,
    idle_s: arguments.IdleS = _PLAIN.idle_s,
    races: arguments.Races = _PLAIN.races,
    seed: arguments.Seed = None,
    time_limit_s: arguments.TimeLimitS = Limits.time_limit_s,
    exchange_limit_s: arguments.ExchangeLimitS = _PLAIN.exchange_limit_s,
    parallel: arguments.Parallel = Limits.parallel,
    report: arguments.ReportFolder = None,
    only: arguments.Only = None,
    list_: arguments.List = False,
    curl: arguments.CurlOf = None,
    quiet: arguments.Quiet = False,
) -> None:
    """Check all requirements, or those of --only. Results go to stdout, the progress goes to stderr."""
    chosen = _chosen([curl] if curl else only or [])
    if list_:
        _print(listing.lines(chosen))
        return
    if base_url is None:
        message = "--base-url is missing"
        raise OptionError(message)
    target = target_of(context.params)
    if curl is not None:
        _print(asyncio.run(curl_commands(target, chosen[0])))
        return
    if report is not None:
        _make_folder(report)
    with Screen(total=len(chosen), is_quiet=quiet) as screen:
        runner = Runner(target, chosen, screen, Limits(time_limit_s, parallel))
        done = asyncio.run(runner.run(settings_of(context.params)))
    screen.verdict(done)
    if report is not None:
        write_reports(done, report)
    raise typer.Exit(EXIT_CODES[done.verdict])


@app.command("requirements")
def requirements(
    *, markdown: Annotated[bool, typer.Option("--markdown", help="The whole text of each, as Markdown.")] = False
) -> None:
    """List every requirement."""
    chosen = list(REQUIREMENTS.values())
    _print(listing.markdown(chosen) if markdown else listing.lines(chosen))


def run(arguments_: Sequence[str]) -> int:
    """Run one command; print its error, if any, to stderr; return its exit code. Raises only KeyboardInterrupt."""
    try:
        app(args=list(arguments_), prog_name="settlement-conformance")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0
    except OptionError as error:
        return _failed(str(error), USAGE)
    except Exception as error:  # noqa: BLE001 - the user gets a message instead of a traceback
        if ExceptionGroup("", [error]).subgroup(BrokenPipeError):
            # The interpreter flushes stdout at its exit, which must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OUTPUT_CLOSED
        where = traceback.extract_tb(error.__traceback__)[-1]
        return _failed(f"internal error: {type(error).__name__} at {where.name}:{where.lineno}", INTERNAL_ERROR)
    return 0


def _chosen(ids: Sequence[str]) -> list[Check]:
    wanted = {each.upper() for each in ids}
    unknown = sorted(wanted - REQUIREMENTS.keys())
    if unknown:
        message = f"there is no requirement {', '.join(map(repr, unknown))}; --list shows all"
        raise OptionError(message)
    return [check for each, check in REQUIREMENTS.items() if not wanted or each in wanted]


def _make_folder(folder: Path) -> None:
    """Make the folder of the reports before the run, so that a wrong one costs no run."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"--report: the folder cannot be made: {error.strerror}"
        raise OptionError(message) from None


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _failed(message: str, code: int) -> int:
    sys.stderr.write(f"error: {message}\n")
    return code
