"""Queries on findings and rounds of reconciliation."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Delete, Select, Update, delete, func, select, update

from ledger.queries.table import listed
from ledger.schema import CLOSED_FINDING, OPEN_FINDING
from ledger.tables import finding_counts, findings, reconciliation_rounds
from settlement.reconciliation import FindingKind, FindingStatus

_AT = datetime(2026, 1, 5, 12, tzinfo=UTC)


@listed((_AT, 0, 100), (_AT, 17, 100))
def open_unseen(since: datetime, after: int, limit: int) -> Select[Any]:
    """Return open findings that were not seen since, by id, from behind `after`."""
    by = findings.c
    query = select(findings).where(OPEN_FINDING, by.last_seen_at < since, by.finding_id > after)
    return query.order_by(by.finding_id).limit(limit)


@listed((None, None, 51), (None, 17, 51), *((status, before, 51) for status in FindingStatus for before in (None, 17)))
def finding_page(status: FindingStatus | None, before: int | None, limit: int) -> Select[Any]:
    """Return findings, newest first, from before an id."""
    by = findings.c
    query = select(findings).order_by(by.finding_id.desc()).limit(limit)
    if status is not None:
        query = query.where(by.status == status.value)
    if before is not None:
        query = query.where(by.finding_id < before)
    return query


@listed((17,))
def finding(finding_id: int) -> Select[Any]:
    """Return one finding."""
    return select(findings).where(findings.c.finding_id == finding_id)


@listed((FindingKind.TAKE_UP_LIMIT, ""))
def open_finding(kind: FindingKind, number: str) -> Select[Any]:
    """Return the id of the open finding of a kind about a settlement, or about none (empty)."""
    by = findings.c
    return select(by.finding_id).where(by.settlement_no == number, by.kind == kind.value, OPEN_FINDING)


@listed((FindingKind.DECISION_CONFLICT, "N-17"))
def last_closed_detail(kind: FindingKind, number: str) -> Select[Any]:
    """Return the detail of the newest finding of a kind about a settlement that an operator has closed."""
    by = findings.c
    closed = select(by.detail).where(by.settlement_no == number, by.kind == kind.value, CLOSED_FINDING)
    return closed.order_by(by.finding_id.desc()).limit(1)


@listed(())
def open_findings() -> Select[Any]:
    """Count the open findings."""
    return select(func.count()).select_from(findings).where(OPEN_FINDING)


@listed(())
def open_findings_by_kind() -> Select[Any]:
    """Count the open findings by kind."""
    return select(findings.c.kind, func.count()).where(OPEN_FINDING).group_by(findings.c.kind)


@listed(())
def all_findings_by_kind() -> Select[Any]:
    """Return how many findings there have ever been, by kind: a row is counted when it is written, never again."""
    return select(finding_counts.c.kind, finding_counts.c.total)


@listed((17, {"detail": ""}))
def change_finding(finding_id: int, values: dict[str, Any]) -> Update:
    """Change a finding that is open."""
    by = findings.c
    return update(findings).where(by.finding_id == finding_id, OPEN_FINDING).values(values).returning(by.finding_id)


@listed(())
def last_round() -> Select[Any]:
    """Return the round that ended last."""
    return select(reconciliation_rounds).order_by(reconciliation_rounds.c.ended_at.desc()).limit(1)


@listed(())
def last_round_at() -> Select[Any]:
    """Return when the last round ended."""
    return select(func.max(reconciliation_rounds.c.ended_at))


@listed(())
def listed_to() -> Select[Any]:
    """Return up to when Temporal's list of closed workflows has been gone through."""
    by = reconciliation_rounds.c
    return select(by.listed_to).where(by.listed_to.is_not(None)).order_by(by.listed_to.desc()).limit(1)


@listed((_AT,))
def forget_rounds(before: datetime) -> Delete:
    """Delete rounds that ended before a moment."""
    return delete(reconciliation_rounds).where(reconciliation_rounds.c.ended_at < before)
