"""The program: its own options, its commands, and the exit code of each run."""

import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import typer

from cli.commands import (
    audit,
    batch_retry,
    broker_statement,
    events,
    exposure,
    keys,
    operator_actions,
    reconciliation,
    security_events,
    settlements,
    submit,
    systems,
)
from cli.connection import KEY_VARIABLE, TIMEOUT_DEFAULT_S, URL_DEFAULT, URL_VARIABLE, ConnectionOptions
from cli.exits import CliError, Exit, OutputClosedError
from cli.options import FLAGS, program_options_first
from cli.screen import OutputFormat, Screen
from cli.session import Session, session_of
from cli.streams import protect_standard_streams

_EXIT_CODES = """\b
Exit codes:
    0  done; for submit: the decision is PROCEED
    1  refused by the API (4xx), or by you at a question
    2  wrong usage; nothing was sent
    3  API not reachable, timed out or failed (5xx); the action may have been done
    4  done, with a bad result: VOID, aborted again, findings open, a check failed
    5  no result within the wait
   70  internal error of this program
   74  stdout cannot be written, for example on a full disk; the action has been done
  130  Ctrl-C; an action that was sent goes on at the API
  141  the reader of the output has ended
"""

# Help and usage errors are plain text, because they are also read in pipes and logs.
app = typer.Typer(
    name="settlement",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EXIT_CODES,
)


@app.callback()
def program(  # noqa: PLR0913 - the options of the program
    context: typer.Context,
    *,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help=f"URL of the API; overrides {URL_VARIABLE}. Default: {URL_DEFAULT}."),
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"File that contains the API key; overrides {KEY_VARIABLE}.")
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="PEM file to verify the API's certificate. Default: the system's."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=600, metavar="SECONDS", help="Maximum time for an answer.")
    ] = TIMEOUT_DEFAULT_S,
    json: Annotated[
        bool, typer.Option("--json", help="Print the JSON of the API; for lists, one line per item.")
    ] = False,
) -> None:
    """Show settlements, retry or resolve aborted ones, and run reconciliation, through the HTTP API.

    The options below may be anywhere in the command line. Results go to stdout, everything else to stderr.
    If stdout is not a terminal, results are columns separated by tabs. NO_COLOR turns colours off.
    """
    session = Session(ConnectionOptions(url, api_key_file, ca_file, timeout), as_json=json)
    context.obj = session
    context.call_on_close(session.close)


def version(context: typer.Context) -> None:
    """Show the version of this program."""
    session = session_of(context)
    number = installed_version("order-settlement")
    if session.screen.format is OutputFormat.JSON:
        session.screen.json_line({"version": number})
    else:
        session.screen.line(number)


app.command()(submit.submit)
app.command()(settlements.show)
app.command("list")(settlements.list_settlements)
app.command()(settlements.explain)
app.command()(events.events)
app.command()(exposure.exposure)
app.command()(operator_actions.retry)
app.command()(operator_actions.resolve)
app.command()(operator_actions.approve)
app.command()(operator_actions.withdraw)
app.add_typer(batch_retry.app, name="batch-retry")
app.command()(reconciliation.reconcile)
app.command()(reconciliation.findings)
app.command("allow-take-ups")(reconciliation.allow_take_ups)
app.command("close-finding")(reconciliation.close_finding)
app.add_typer(systems.app, name="systems")
app.add_typer(broker_statement.app, name="statement")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.command("security-events")(security_events.security_events)
app.command()(version)


def run(arguments: Sequence[str]) -> int:
    """Run one command; print its error, if any, to stderr; return its exit code. Raises only KeyboardInterrupt."""
    protect_standard_streams()
    ordered = program_options_first(arguments)
    try:
        app(args=ordered, prog_name="settlement")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else Exit.OK
    except OutputClosedError as error:
        return error.code
    except CliError as error:
        Screen(as_json=FLAGS[0] in ordered).show_error(error)
        return error.code
    except Exception as error:  # noqa: BLE001 - the user gets a message instead of a traceback
        where = traceback.extract_tb(error.__traceback__)[-1]
        print(f"error: internal error: {type(error).__name__} at {where.name}:{where.lineno}", file=sys.stderr)  # noqa: T201 - an operator gets one line
        return Exit.INTERNAL_ERROR
    return Exit.OK
