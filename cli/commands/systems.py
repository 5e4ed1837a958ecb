"""`settlement systems`: list, show, check, pause and resume external systems."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.exits import Exit, UsageError
from cli.options import Note
from cli.rendering import Block, Fields, Row, Table
from cli.screen import OutputFormat
from cli.session import session_of
from config.check_systems import Check, check_systems
from contract.path_segments import segment_of
from schemas.external_systems import ExternalSystem, ExternalSystemList, ExternalSystemSummary, FileStatus
from settlement.circuit_breaker import BreakerState, BreakerStatus

app = typer.Typer(help="List, show, check, pause and resume external systems.", no_args_is_help=True)

EXTERNAL_SYSTEMS = "/v1/external-systems"
FILE_VARIABLE = "SETTLEMENT_EXTERNAL_SYSTEMS"
_COLUMNS = ("name", "companies", "address", "breaker", "since", "workers", "paused", "note")
_CHECK_COLUMNS = ("result", "system", "check", "detail")

SystemNameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the external system.")]


@app.command("list")
def list_systems(context: typer.Context) -> None:
    """List the external systems of the API's configuration. Exit code 4: a newer file was rejected."""
    session = session_of(context)
    answer = session.api.get(EXTERNAL_SYSTEMS)
    listed = answer.read(ExternalSystemList)
    session.screen.show_response(answer, lambda: [Table(_COLUMNS, [_row(each) for each in listed.items])])
    if listed.file is FileStatus.REJECTED:
        session.screen.notify(f"the newest file was rejected: {listed.problem}")
        raise typer.Exit(Exit.BAD_RESULT)


@app.command()
def show(context: typer.Context, name: SystemNameArgument) -> None:
    """Show one external system: address, limits, circuit breaker, pause, and the last operator actions on it."""
    session = session_of(context)
    answer = session.api.get(f"{EXTERNAL_SYSTEMS}/{segment_of(name)}")
    session.screen.show_response(answer, lambda: _view(answer.read(ExternalSystem)))


@app.command()
def pause(context: typer.Context, name: SystemNameArgument, note: Note) -> None:
    """Refuse new orders of an external system. Its open settlements continue. Repeating it changes nothing."""
    _act(context, name, "pause", note)


@app.command()
def resume(context: typer.Context, name: SystemNameArgument, note: Note) -> None:
    """Accept new orders of a paused external system again. Repeating it changes nothing."""
    _act(context, name, "resume", note)


@app.command()
def check(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help=f"The file to check. Default: that of {FILE_VARIABLE}.")
    ] = None,
) -> None:
    """Check the file of external systems on this machine: rules, names, certificates and secrets. Sends no order.

    Run it where the worker runs, because it checks the worker's network, files and environment. Exit code 4: a check
    failed.
    """
    session = session_of(context)
    path = file or Path(os.environ.get(FILE_VARIABLE) or "")
    if path == Path():
        message = f"name a file, or set {FILE_VARIABLE}"
        raise UsageError(message)
    results = list(check_systems(path))
    if session.screen.format is OutputFormat.JSON:
        for each in results:
            session.screen.json_line(each._asdict())
    else:
        session.screen.show(Table(_CHECK_COLUMNS, [_check_row(each) for each in results]))
    if not all(each.ok for each in results):
        raise typer.Exit(Exit.BAD_RESULT)


def _act(context: typer.Context, name: str, action: str, note: str) -> None:
    session = session_of(context)
    path = f"{EXTERNAL_SYSTEMS}/{segment_of(name)}/{action}"
    answer = session.api.post(path, json.dumps({"note": note}).encode(), idempotent=True)
    session.screen.show_response(answer, lambda: _view(answer.read(ExternalSystem)))


def _row(system: ExternalSystemSummary) -> Row:
    companies = "all others" if system.default else ", ".join(map(str, system.companies))
    paused, breaker = system.paused, system.breaker
    state, since, workers = _breaker(breaker) if breaker is not None else ("off", None, None)
    return (system.name, companies, system.address, state, since, workers, paused and paused.at, paused and paused.note)


def _breaker(breaker: BreakerStatus) -> tuple[str, datetime | None, str]:
    """Return the worst state of the workers' breakers, since when, and in how many of them."""
    in_state = {BreakerState.OPEN: breaker.workers_open, BreakerState.HALF_OPEN: breaker.workers_half_open}
    if breaker.state is None:
        return "not reported", None, "0"
    count = in_state.get(breaker.state, breaker.workers)
    return breaker.state, breaker.since, f"{count} of {breaker.workers}"


def _view(system: ExternalSystem) -> list[Block]:
    actions = [(each.at, each.kind, each.operator, each.key_id, each.note) for each in system.actions]
    limits = system.limits
    further = [
        ("callsInFlight", limits and limits.calls_in_flight),
        ("callsPerS", limits and limits.calls_per_s),
    ]
    return [
        Fields([*zip(_COLUMNS, _row(system), strict=True), *further]),
        Table(("at", "act", "operator", "keyId", "note"), actions, "operator actions"),
    ]


def _check_row(result: Check) -> Row:
    return ("ok" if result.ok else "failed", result.system, result.what, result.detail)
