"""`settlement reconcile` and `findings`: what does not fit between ledger and Temporal."""

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
from cli.retry_policy import POLL_EVERY_S, RetryPolicy
from cli.screen import Form
from cli.session import Session, session_of
from schemas.reconciliation import ReconciliationStatus
from settlement.reconciliation import Finding, FindingStatus, TakeUpAllowance

RECONCILIATION = "/v1/reconciliation"
_COLUMNS = (
    "id",
    "status",
    "kind",
    "requestUniqueNo",
    "rounds",
    "foundAt",
    "lastSeenAt",
    "closedAt",
    "detail",
    "repair",
)


class Wanted(StrEnum):
    """Which findings to list."""

    OPEN = "OPEN"
    REPAIRED = "REPAIRED"
    CLEARED = "CLEARED"
    CLOSED = "CLOSED"
    ANY = "ANY"


def reconcile(
    context: typer.Context,
    *,
    last: Annotated[bool, typer.Option("--last", help="Ask for no round; show the last one.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Ask for a round and leave.")] = False,
    wait: Annotated[
        float, typer.Option(min=1, max=3600, metavar="SECONDS", help="How long to wait for the round.")
    ] = 120,
) -> None:
    """Hold ledger and Temporal against each other now, wait for the round, and show what is open.

    Exit code 4: findings are open, and a person must look. 5: the round has not ended within the wait.
    """
    session = session_of(context)
    if last or no_wait:
        answer = session.api.get(RECONCILIATION) if last else session.api.post(f"{RECONCILIATION}/rounds")
        session.screen.answer(answer, lambda: _view(answer.read(ReconciliationStatus)))
        return
    answer, ended = _round(session, wait)
    found = answer.read(ReconciliationStatus)
    session.screen.answer(answer, lambda: _view(found))
    if not ended:
        session.screen.say(f"the round has not ended after {wait:g} s; settlement reconcile --last shows it later")
        raise typer.Exit(Exit.UNDECIDED)
    if found.open_findings:
        _show_open(session)
        raise typer.Exit(Exit.BAD)


def findings(
    context: typer.Context,
    *,
    status: Annotated[Wanted, choice(Wanted, "WORD")] = Wanted.OPEN,
    before: Annotated[int | None, typer.Option(min=0, help="Go on where an earlier list ended.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    all_: Annotated[bool, typer.Option("--all", help="To the end, whatever the limit.")] = False,
) -> None:
    """List what does not fit between ledger and Temporal, newest first: what is open, unless told otherwise."""
    session = session_of(context)
    params = {"status": None if status is Wanted.ANY else status.value, "before": before}
    pages = Pages(session.api, FINDINGS, params, None if all_ else limit)
    session.screen.items(pages, _COLUMNS, lambda item: _row(as_model(item, Finding)))
    if pages.next is not None:
        session.screen.say(f"there are more: --all, or --before {pages.next}")


def close_finding(
    context: typer.Context,
    finding: Annotated[int, typer.Argument(min=1, help="The finding's id.")],
    note: Annotated[str, typer.Option("--note", help="Why, for the audit.")],
    reference: Annotated[str | None, typer.Option("--reference", help="The broker's ticket or statement.")] = None,
) -> None:
    """Close a finding DECISION_CONFLICT, after comparing both sides with the broker's books. It moves no money."""
    session = session_of(context)
    body = {"note": note} | ({"brokerReference": reference} if reference else {})
    answer = session.api.post(f"{RECONCILIATION}/findings/{finding}/closing", json.dumps(body).encode())
    session.screen.answer(answer, lambda: [Fields(list(zip(_COLUMNS, _row(answer.read(Finding)), strict=True)))])


def allow_take_ups(
    context: typer.Context,
    count: Annotated[int, typer.Argument(min=1, help="How many settlements.")],
    note: Annotated[str, typer.Option("--note", help="Why, for the audit.")],
) -> None:
    """Allow reconciliation to start lost workflows anew beyond the limit of a round, for one hour.

    Each of these settlements sends its cancel adjust to the broker. Look at the finding TAKE_UP_LIMIT first.
    """
    session = session_of(context)
    answer = session.api.post(
        f"{RECONCILIATION}/take-up-allowances", json.dumps({"count": count, "note": note}).encode()
    )
    session.screen.answer(answer, lambda: _allowed(answer.read(TakeUpAllowance)))


def _allowed(allowance: TakeUpAllowance) -> list[Block]:
    fields: list[tuple[str, object]] = [
        ("allowanceId", allowance.allowance_id),
        ("count", allowance.count),
        ("operator", allowance.operator),
        ("note", allowance.note),
        ("expiresAt", allowance.expires_at),
    ]
    return [Fields(fields)]


def _round(session: Session, wait_s: float) -> tuple[ApiResponse, bool]:
    """Ask for a round and wait for the next one that ends; return the last answer, and whether one has ended."""
    asked = session.api.post(f"{RECONCILIATION}/rounds")
    before = asked.read(ReconciliationStatus).last_round
    retry_policy = RetryPolicy(session.screen.say)
    ends_at = time.monotonic() + wait_s
    session.screen.say("a round is asked for; waiting for it …")
    while True:
        answer = retry_policy.call(lambda: session.api.get(RECONCILIATION))
        now = answer.read(ReconciliationStatus).last_round
        if now is not None and (before is None or now.round_id != before.round_id):
            return answer, True
        if time.monotonic() >= ends_at:
            return answer, False
        time.sleep(POLL_EVERY_S)


def _show_open(session: Session) -> None:
    """List the open findings beneath the round; with --json the round is the one document that was asked for."""
    if session.screen.form is Form.JSON:
        return
    open_ones = Pages(session.api, FINDINGS, {"status": FindingStatus.OPEN})
    session.screen.text("")
    session.screen.items(open_ones, _COLUMNS, lambda item: _row(as_model(item, Finding)))


def _view(found: ReconciliationStatus) -> list[Block]:
    fields: list[tuple[str, object]] = [("schedule", found.schedule), ("openFindings", found.open_findings)]
    ended = found.last_round
    if ended is not None:
        fields += [
            ("lastRound", ended.round_id),
            ("startedAt", ended.started_at),
            ("endedAt", ended.ended_at),
            ("ledgerChecked", ended.ledger_checked),
            ("temporalChecked", ended.temporal_checked),
            ("found", ended.found),
            ("repaired", ended.repaired),
            ("complete", "yes" if ended.complete else "no: a limit cut it short"),
        ]
    return [Fields(fields)]


def _row(finding: Finding) -> Row:
    return (
        finding.finding_id,
        finding.status,
        finding.kind,
        finding.request_unique_no,
        finding.rounds,
        finding.found_at,
        finding.last_seen_at,
        finding.closed_at,
        finding.detail,
        finding.repair,
    )
