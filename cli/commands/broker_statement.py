"""`settlement statement`: compare a statement of the broker with the ledger, and show the result."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.api import as_model
from cli.commands.broker_statement_columns import columns_of, load_columns
from cli.commands.broker_statement_file import StatementFile
from cli.commands.broker_statement_import import STATEMENTS, StatementImport, checked_file
from cli.commands.broker_statement_progress import progress_display
from cli.exits import Exit, RefusedError, UsageError
from cli.options import parse_time
from cli.rendering import Block, Fields, Row
from cli.session import Session, session_of
from settlement.broker_statement import (
    DIFFERENCES_DEFAULT,
    DIFFERENCES_MAX,
    MARGIN_DEFAULT_S,
    MARGIN_MAX_S,
    BrokerStatement,
    StatementRequest,
    StatementState,
)
from settlement.start import DEFAULT_SYSTEM

_COLUMNS = (
    *(
        "id",
        "state",
        "system",
        "startsAt",
        "endsAt",
        "lines",
        "differences",
        "new",
        "open",
        "closed",
        "openSettlements",
    ),
    *("undecided", "operator", "keyId", "createdAt", "completedAt"),
)

app = typer.Typer(help="Compare statements of the broker with the ledger.", no_args_is_help=True)


@app.command("import")
def import_statement(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The statement, a CSV file with a header.")],
    *,
    starts_at: Annotated[
        datetime, typer.Option("--from", parser=parse_time, metavar="TIME", help="Begin of its period, inclusive.")
    ],
    ends_at: Annotated[
        datetime, typer.Option("--to", parser=parse_time, metavar="TIME", help="End of its period, exclusive.")
    ],
    system: Annotated[str, typer.Option(metavar="NAME", help="The external system whose statement it is.")] = (
        DEFAULT_SYSTEM
    ),
    columns: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file with the columns. Default: the system's entry.")
    ] = None,
    margin: Annotated[
        int,
        typer.Option(
            min=0, max=MARGIN_MAX_S, metavar="SECONDS", help="So close to an end of the period nothing is missing."
        ),
    ] = MARGIN_DEFAULT_S,
    max_differences: Annotated[
        int, typer.Option(min=1, max=DIFFERENCES_MAX, help="With more differences, none becomes a finding.")
    ] = DIFFERENCES_DEFAULT,
) -> None:
    """Compare a statement of the broker with the ledger, in both directions. It moves no money.

    Each difference becomes a finding. An import that was interrupted is continued by the same command.
    Exit code 4: differences are open. 1: there are too many of them, or the API refused. 2: the file has a bad line,
    and nothing was imported.
    """
    session = session_of(context)
    if ends_at <= starts_at:
        message = "--to must be after --from"
        raise UsageError(message)
    mapping = columns_of(session.api, system) if columns is None else load_columns(columns)
    statement_file = StatementFile(file, mapping, starts_at, ends_at)
    with progress_display(session) as display, checked_file(statement_file, display) as checked:
        request = StatementRequest(
            digest=checked.digest,
            system=system,
            starts_at=starts_at,
            ends_at=ends_at,
            line_count=checked.line_count,
            margin_s=margin,
            differences_max=max_differences,
        )
        answer = StatementImport(session, display).run(checked, request)
    statement = answer.read(BrokerStatement)
    session.screen.show_response(answer, lambda: _view(statement))
    raise typer.Exit(_exit_code(session, statement))


@app.command()
def show(
    context: typer.Context, statement: Annotated[int, typer.Argument(min=1, help="The id of the import.")]
) -> None:
    """Show the import of a statement: its progress, or its result."""
    session = session_of(context)
    answer = session.api.get(f"{STATEMENTS}/{statement}")
    session.screen.show_response(answer, lambda: _view(answer.read(BrokerStatement)))


@app.command("list")
def list_statements(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, max=50, help="Maximum number of imports.")] = 20,
) -> None:
    """List the newest imports of statements."""
    session = session_of(context)
    items = session.api.get(STATEMENTS, {"limit": limit}).items()
    session.screen.show_items(items, _COLUMNS, lambda item: _row(as_model(item, BrokerStatement)))


def _exit_code(session: Session, statement: BrokerStatement) -> Exit:
    if statement.state is StatementState.REFUSED:
        message = (
            f"more than {statement.differences_max} differences, so none became a finding; "
            "check the file, its period and its columns, or raise --max-differences"
        )
        raise RefusedError(message)
    if statement.state is StatementState.EXPIRED:
        message = "the import was not continued for a day and has expired; import the file again"
        raise RefusedError(message)
    if statement.findings_new or statement.findings_open:
        session.screen.notify("differences are open; list them with: settlement findings")
        return Exit.BAD_RESULT
    return Exit.OK


def _view(statement: BrokerStatement) -> list[Block]:
    fields: list[tuple[str, object]] = [
        ("statementId", statement.statement_id),
        ("state", statement.state),
        ("system", statement.system),
        ("startsAt", statement.starts_at),
        ("endsAt", statement.ends_at),
        ("marginS", statement.margin_s),
        ("lines", f"{statement.lines_received} of {statement.line_count}"),
        ("linesCompared", statement.lines_compared),
        ("settlementsCompared", statement.settlements_compared),
        ("openSettlements", statement.open_settlements),
        ("undecided", statement.undecided),
        ("differences", statement.differences),
        ("findingsNew", statement.findings_new),
        ("findingsOpen", statement.findings_open),
        ("findingsClosed", statement.findings_closed),
        ("operator", statement.operator),
        ("keyId", statement.key_id),
        ("createdAt", statement.created_at),
        ("completedAt", statement.completed_at),
    ]
    return [Fields(fields)]


def _row(statement: BrokerStatement) -> Row:
    return (
        statement.statement_id,
        statement.state,
        statement.system,
        statement.starts_at,
        statement.ends_at,
        statement.line_count,
        statement.differences,
        statement.findings_new,
        statement.findings_open,
        statement.findings_closed,
        statement.open_settlements,
        statement.undecided,
        statement.operator,
        statement.key_id,
        statement.created_at,
        statement.completed_at,
    )
