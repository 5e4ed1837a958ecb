"""`settlement audit`: verify the audit of the ledger, and make its daily anchor.

The API could hide what it changed. So this starts `python -m ledger.audit`, which reads the database.
"""

import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.exits import UsageError
from cli.options import From, To, iso
from cli.screen import OutputFormat
from cli.session import session_of

app = typer.Typer(help="Verify the audit on a machine with access to the ledger.", no_args_is_help=True)

_AnchorFile = typer.Option(metavar="FILE", help="Compare the ledger with the anchors in this file too.")
_Output = typer.Option(metavar="FILE", help="Append the anchor to this file instead of printing it.")
_Day = typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="The day, in UTC. Default: yesterday.")


@app.command()
def verify(
    context: typer.Context,
    number: Annotated[str | None, typer.Argument(metavar="[NUMBER]", help="Only this requestUniqueNo.")] = None,
    from_: From = None,
    to: To = None,
    anchor: Annotated[Path | None, _AnchorFile] = None,
) -> None:
    """Find rows of the audit that were changed, deleted or inserted. Exit code 4: there are some.

    It reads the database of SETTLEMENT_DATABASE_URL and not the API. An anchor also finds deleted settlements.
    """
    if number is not None and (from_ is not None or to is not None or anchor is not None):
        message = "NUMBER cannot be combined with --from, --to and --anchor"
        raise UsageError(message)
    options = {"--from": iso(from_), "--to": iso(to), "--anchor": anchor and str(anchor)}
    given = [f"{name}={value}" for name, value in options.items() if value is not None]
    _run(context, "verify", *given, *(["--", number] if number is not None else []))


@app.command()
def anchor(
    context: typer.Context,
    day: Annotated[datetime | None, _Day] = None,
    output: Annotated[Path | None, _Output] = None,
) -> None:
    """Print the anchor of a day: how many rows were written, and one hash. Store it where nobody can change it."""
    options = {"--day": day and day.date().isoformat(), "--output": output and str(output)}
    _run(context, "anchor", *(f"{name}={value}" for name, value in options.items() if value is not None))


def _run(context: typer.Context, *arguments: str) -> None:
    """Run the module of the ledger in another process, with our standard streams, and end with its exit code."""
    as_json = ["--json"] if session_of(context).screen.format is OutputFormat.JSON else []
    done = subprocess.run([sys.executable, "-m", "ledger.audit", *as_json, *arguments], check=False)  # noqa: S603 - our own module
    raise typer.Exit(done.returncode)
