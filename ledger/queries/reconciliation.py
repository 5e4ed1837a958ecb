"""Queries on findings and rounds of reconciliation."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Delete, Select, Update, delete, func, select, update

from ledger.filters import in_scope
from ledger.queries.table import merged, registered
from ledger.schema import CLOSED_FINDING, OPEN_FINDING
from ledger.tables import finding_counts, findings, reconciliation_rounds, settlements
from settlement.ids import SettlementId
from settlement.reconciliation import STATEMENT_KINDS, FindingKind, FindingStatus
from settlement.scope import EVERYTHING, Scope

_SAMPLE_TIME = datetime(2026, 1, 5, 12, tzinfo=UTC)
_SAMPLE_SCOPE = Scope((1, 17))
_SAMPLE_ID = SettlementId("alpha", "N-17")


@registered((_SAMPLE_TIME, 0, 100), (_SAMPLE_TIME, 17, 100))
def open_not_seen_since(since: datetime, after: int, limit: int) -> Select[Any]:
    """Return open findings that were last seen before `since` and have an id above `after`, in order of id.

    Findings of broker statements are left out.
    """
    columns = findings.c
    query = select(findings).where(OPEN_FINDING, columns.last_seen_at < since, columns.finding_id > after)
    query = query.where(columns.kind.not_in(sorted(STATEMENT_KINDS)))
    return query.order_by(columns.finding_id).limit(limit)


@registered(
    more=(
        (status, before, 51, scope)
        for status in (None, *FindingStatus)
        for before in (None, 17)
        for scope in (EVERYTHING, Scope((1,)), _SAMPLE_SCOPE)
    )
)
def finding_page(
    status: FindingStatus | None, before: int | None, limit: int, scope: Scope = EVERYTHING
) -> Select[Any]:
    """Return findings about settlements in the scope with an id below `before`, newest first.

    Findings that are not about a settlement, or about one without a company, are only in the scope of everything.
    """

    def order(columns: Any) -> tuple[ColumnElement[Any], ...]:  # noqa: ANN401 - SQLAlchemy's collection of columns
        return (columns.finding_id.desc(),)

    columns = findings.c
    query = select(findings).order_by(*order(columns)).limit(limit)
    if status is not None:
        query = query.where(columns.status == status.value)
    if before is not None:
        query = query.where(columns.finding_id < before)
    if scope.companies is None:
        return query
    return merged([query.where(columns.company_id == each) for each in scope.companies], order, limit)


@registered((17,), (17, _SAMPLE_SCOPE))
def finding(finding_id: int, scope: Scope = EVERYTHING) -> Select[Any]:
    """Return one finding, if its settlement is in the scope."""
    columns = findings.c
    return select(findings).where(columns.finding_id == finding_id, *in_scope(columns.company_id, scope))


@registered((_SAMPLE_ID,), (None,))
def company_of(settlement_id: SettlementId | None) -> Select[Any]:
    """Return the company of a settlement; no row for None."""
    return select(settlements.c.company_id).where(settlements.c.settlement_id == (settlement_id or ""))


@registered((FindingKind.TAKE_UP_LIMIT, None), (FindingKind.LEDGER_BEHIND, _SAMPLE_ID))
def open_finding(kind: FindingKind, settlement_id: SettlementId | None) -> Select[Any]:
    """Return the id of the open finding of a kind about a settlement; None means not about a settlement."""
    columns = findings.c
    about = columns.settlement_id == (settlement_id or "")
    return select(columns.finding_id).where(about, columns.kind == kind.value, OPEN_FINDING)


@registered((FindingKind.DECISION_CONFLICT, _SAMPLE_ID))
def last_closed_detail(kind: FindingKind, settlement_id: SettlementId | None) -> Select[Any]:
    """Return the detail of the newest finding of a kind about a settlement that an operator has closed."""
    columns = findings.c
    about = columns.settlement_id == (settlement_id or "")
    closed = select(columns.detail).where(about, columns.kind == kind.value, CLOSED_FINDING)
    return closed.order_by(columns.finding_id.desc()).limit(1)


@registered((), (_SAMPLE_SCOPE,))
def open_findings(scope: Scope = EVERYTHING) -> Select[Any]:
    """Count the open findings about settlements in the scope."""
    return select(func.count()).select_from(findings).where(OPEN_FINDING, *in_scope(findings.c.company_id, scope))


@registered(())
def open_findings_by_kind() -> Select[Any]:
    """Count the open findings by kind."""
    return select(findings.c.kind, func.count()).where(OPEN_FINDING).group_by(findings.c.kind)


@registered(())
def all_findings_by_kind() -> Select[Any]:
    """Return the total number of findings ever, by kind. The totals are maintained when findings are inserted."""
    return select(finding_counts.c.kind, finding_counts.c.total)


@registered((17, {"detail": ""}))
def change_finding(finding_id: int, values: dict[str, Any]) -> Update:
    """Update an open finding."""
    columns = findings.c
    return (
        update(findings)
        .where(columns.finding_id == finding_id, OPEN_FINDING)
        .values(values)
        .returning(columns.finding_id)
    )


@registered(())
def last_round() -> Select[Any]:
    """Return the round that ended last."""
    return select(reconciliation_rounds).order_by(reconciliation_rounds.c.ended_at.desc()).limit(1)


@registered(())
def last_round_at() -> Select[Any]:
    """Return when the last round ended."""
    return select(func.max(reconciliation_rounds.c.ended_at))


@registered(())
def listed_to() -> Select[Any]:
    """Return the time up to which Temporal's closed workflows have been scanned."""
    columns = reconciliation_rounds.c
    return select(columns.listed_to).where(columns.listed_to.is_not(None)).order_by(columns.listed_to.desc()).limit(1)


@registered((_SAMPLE_TIME,))
def delete_rounds(before: datetime) -> Delete:
    """Delete rounds that ended before a moment."""
    return delete(reconciliation_rounds).where(reconciliation_rounds.c.ended_at < before)
