"""The program: its own options, its commands, its exit codes."""

from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import typer

from cli.commands import batch_retry, events, exposure, keys, settlements, submit
from cli.commands import operator_actions as acts
from cli.commands import reconciliation as reconcile
from cli.connection import KEY_VARIABLE, TIMEOUT_DEFAULT_S, URL_DEFAULT, URL_VARIABLE, Given
from cli.screen import Form
from cli.session import Session, session_of

_EXIT_CODES = """\b
Exit codes:
    0  done; for submit: PROCEED
    1  refused: by the API, or by you when asked
    2  wrong usage; nothing was sent
    3  not reachable, timed out or unable (5xx); it may have been done
    4  done, and ended badly: VOID, aborted again, findings open
    5  not known within the wait
   70  a fault of this program
   74  stdout cannot be written, as on a full disk; it has been done
  130  Ctrl-C; what was asked for goes on
  141  nobody reads the output
"""

# Plain help and usage errors: they are read in pipes and logs, too.
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
        str | None, typer.Option(metavar="URL", help=f"The API; else {URL_VARIABLE}, else {URL_DEFAULT}.")
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Holds the API key; else the variable {KEY_VARIABLE} does.")
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM file that verifies the API; else the system's.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=600, metavar="SECONDS", help="How long an answer may take.")
    ] = TIMEOUT_DEFAULT_S,
    json: Annotated[bool, typer.Option("--json", help="Print the API's JSON; of lists, one line for each.")] = False,
) -> None:
    """See every settlement, and put right what needs a hand; over HTTP only.

    These options may stand anywhere. Results go to stdout, everything else to stderr; without a terminal,
    results are plain columns separated by tabs. NO_COLOR is honoured.
    """
    session = Session(Given(url, api_key_file, ca_file, timeout), as_json=json)
    context.obj = session
    context.call_on_close(session.close)


def version(context: typer.Context) -> None:
    """Show this program's version."""
    session = session_of(context)
    number = installed_version("order-settlement")
    if session.screen.form is Form.JSON:
        session.screen.json_line({"version": number})
    else:
        session.screen.text(number)


app.command()(submit.submit)
app.command()(settlements.show)
app.command("list")(settlements.list_settlements)
app.command()(settlements.explain)
app.command()(events.events)
app.command()(exposure.exposure)
app.command()(acts.retry)
app.command()(acts.resolve)
app.add_typer(batch_retry.app, name="batch-retry")
app.command()(reconcile.reconcile)
app.command()(reconcile.findings)
app.command("allow-take-ups")(reconcile.allow_take_ups)
app.command("close-finding")(reconcile.close_finding)
app.add_typer(keys.app, name="keys")
app.command()(version)
