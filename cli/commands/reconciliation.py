"""`settlement reconcile`, `findings`, `close-finding` and `allow-take-ups`: what does not agree with the ledger."""

import json
import time
from enum import StrEnum
from typing import Annotated

import typer

from cli.api import ApiResponse, as_model
from cli.exits import Exit
from cli.options import choice
from cli.pages import FINDINGS, Pages
from cli.rendering import Block, Fields, Row
from cli.retry_policy import POLL_INTERVAL_S, RetryPolicy
from cli.screen import OutputFormat
from cli.session import Session, session_of
from schemas.reconciliation import ReconciliationStatus
from settlement.reconciliation import Finding, FindingStatus, TakeUpAllowance

RECONCILIATION = "/v1/reconciliation"
_COLUMNS = (
    "id",
    "status",
    "kind",
    "requestUniqueNo",
    "system",
    "amount",
    "currency",
    "rounds",
    "foundAt",
    "lastSeenAt",
    "closedAt",
    "detail",
    "repair",
    "action",
)


class StatusFilter(StrEnum):
    """The status of the findings to list; ANY for all."""

    OPEN = "OPEN"
    REPAIRED = "REPAIRED"
    CLEARED = "CLEARED"
    CLOSED = "CLOSED"
    ANY = "ANY"


def reconcile(
    context: typer.Context,
    *,
    last: Annotated[bool, typer.Option("--last", help="Show the last round without starting a new one.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Start a round and do not wait for it.")] = False,
    wait: Annotated[float, typer.Option(min=1, max=3600, metavar="SECONDS", help="Maximum wait for the round.")] = 120,
) -> None:
    """Compare the ledger with Temporal now, wait for the round to end, and show open findings.

    Exit code 4: findings are open; an operator must look at them. 5: the round has not ended within the wait.
    """
    session = session_of(context)
    if last or no_wait:
        answer = session.api.get(RECONCILIATION) if last else session.api.post(f"{RECONCILIATION}/rounds")
        session.screen.show_response(answer, lambda: _view(answer.read(ReconciliationStatus)))
        return
    answer, has_ended = _run_round(session, wait)
    status = answer.read(ReconciliationStatus)
    session.screen.show_response(answer, lambda: _view(status))
    if not has_ended:
        session.screen.notify(
            f"the round has not ended after {wait:g} s; check later with: settlement reconcile --last"
        )
        raise typer.Exit(Exit.NO_RESULT)
    if status.open_findings:
        _show_open_findings(session)
        raise typer.Exit(Exit.BAD_RESULT)


def findings(
    context: typer.Context,
    *,
    status: Annotated[StatusFilter, choice(StatusFilter, "STATUS")] = StatusFilter.OPEN,
    before: Annotated[
        int | None, typer.Option(min=0, help="List only findings with a smaller id; continues an earlier list.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of findings.")] = 50,
    all_: Annotated[bool, typer.Option("--all", help="List all; ignores --limit.")] = False,
) -> None:
    """List findings, which are mismatches of the ledger with Temporal or the broker, newest first. Default: open."""
    session = session_of(context)
    params = {"status": None if status is StatusFilter.ANY else status.value, "before": before}
    pages = Pages(session.api, FINDINGS, params, None if all_ else limit)
    session.screen.show_items(pages, _COLUMNS, lambda item: _row(as_model(item, Finding)))
    if pages.next_cursor is not None:
        session.screen.notify(f"there are more; use --all, or --before {pages.next_cursor}")


def close_finding(
    context: typer.Context,
    finding: Annotated[int, typer.Argument(min=1, help="The finding's id.")],
    note: Annotated[str, typer.Option("--note", help="The reason in your own words; it is audited.")],
    reference: Annotated[str | None, typer.Option("--reference", help="The broker's ticket or statement.")] = None,
) -> None:
    """Close a finding DECISION_CONFLICT or STATEMENT_…, after you have clarified it with the broker. Moves no money."""
    session = session_of(context)
    body = {"note": note} | ({"brokerReference": reference} if reference else {})
    answer = session.api.post(f"{RECONCILIATION}/findings/{finding}/closing", json.dumps(body).encode())
    session.screen.show_response(answer, lambda: [Fields(list(zip(_COLUMNS, _row(answer.read(Finding)), strict=True)))])


def allow_take_ups(
    context: typer.Context,
    count: Annotated[int, typer.Argument(min=1, help="How many settlements.")],
    note: Annotated[str, typer.Option("--note", help="The reason in your own words; it is audited.")],
) -> None:
    """Allow reconciliation to take up more lost workflows than the limit of a round, for one hour.

    Each of these settlements sends its cancel adjust to the broker. Read the finding TAKE_UP_LIMIT first.
    """
    session = session_of(context)
    answer = session.api.post(
        f"{RECONCILIATION}/take-up-allowances", json.dumps({"count": count, "note": note}).encode()
    )
    session.screen.show_response(answer, lambda: _allowance_view(answer.read(TakeUpAllowance)))


def _allowance_view(allowance: TakeUpAllowance) -> list[Block]:
    fields: list[tuple[str, object]] = [
        ("allowanceId", allowance.allowance_id),
        ("count", allowance.count),
        ("operator", allowance.operator),
        ("note", allowance.note),
        ("expiresAt", allowance.expires_at),
    ]
    return [Fields(fields)]


def _run_round(session: Session, wait_s: float) -> tuple[ApiResponse, bool]:
    """Request a round and wait for it; return the last response, and whether a round has ended."""
    requested = session.api.post(f"{RECONCILIATION}/rounds")
    before = requested.read(ReconciliationStatus).last_round
    retry_policy = RetryPolicy(session.screen.notify)
    deadline = time.monotonic() + wait_s
    session.screen.notify("round requested; waiting for its end …")
    while True:
        answer = retry_policy.call(lambda: session.api.get(RECONCILIATION))
        now = answer.read(ReconciliationStatus).last_round
        if now is not None and (before is None or now.round_id != before.round_id):
            return answer, True
        if time.monotonic() >= deadline:
            return answer, False
        time.sleep(POLL_INTERVAL_S)


def _show_open_findings(session: Session) -> None:
    """List the open findings below the round. With --json the output is one document, the round."""
    if session.screen.format is OutputFormat.JSON:
        return
    open_findings = Pages(session.api, FINDINGS, {"status": FindingStatus.OPEN})
    session.screen.line("")
    session.screen.show_items(open_findings, _COLUMNS, lambda item: _row(as_model(item, Finding)))


def _view(status: ReconciliationStatus) -> list[Block]:
    fields: list[tuple[str, object]] = [("schedule", status.schedule), ("openFindings", status.open_findings)]
    last = status.last_round
    if last is not None:
        fields += [
            ("lastRound", last.round_id),
            ("startedAt", last.started_at),
            ("endedAt", last.ended_at),
            ("ledgerChecked", last.ledger_checked),
            ("temporalChecked", last.temporal_checked),
            ("found", last.found),
            ("repaired", last.repaired),
            ("complete", "yes" if last.complete else "no: a limit was reached"),
        ]
    return [Fields(fields)]


def _row(finding: Finding) -> Row:
    return (
        finding.finding_id,
        finding.status,
        finding.kind,
        finding.request_unique_no,
        finding.system,
        finding.amount,
        finding.currency,
        finding.rounds,
        finding.found_at,
        finding.last_seen_at,
        finding.closed_at,
        finding.detail,
        finding.repair,
        finding.action,
    )
