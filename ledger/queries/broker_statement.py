"""Queries on broker statements, their lines and their differences."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Delete, Select, Update, delete, select, tuple_, update

from ledger.broker_statement_tables import broker_statement_differences, broker_statement_lines, broker_statements
from ledger.queries.table import registered
from ledger.schema import UNFINISHED
from ledger.tables import operator_actions, settlements
from settlement.broker_statement import StatementRequest
from settlement.ids import SettlementId
from settlement.snapshot import ActionKind
from settlement.start import DEFAULT_SYSTEM

_SAMPLE_TIME = datetime(2026, 1, 5, 12, tzinfo=UTC)
_SAMPLE_REQUEST = StatementRequest(
    digest="a" * 64, starts_at=_SAMPLE_TIME, ends_at=datetime(2026, 1, 6, tzinfo=UTC), line_count=17
)
_SAMPLE_IDS = (SettlementId("alpha", "N-1"), SettlementId("alpha", "N-2"))
ENTRY_COLUMNS = tuple(
    settlements.c[name]
    for name in (
        *("settlement_id", "state", "cancel_result", "amount", "currency"),
        *("accepted_at", "updated_at"),
    )
)


@registered((17,))
def statement(statement_id: int) -> Select[Any]:
    """Return one import."""
    return select(broker_statements).where(broker_statements.c.statement_id == statement_id)


@registered((50,))
def newest(limit: int) -> Select[Any]:
    """Return the newest imports."""
    return select(broker_statements).order_by(broker_statements.c.statement_id.desc()).limit(limit)


@registered((_SAMPLE_REQUEST,))
def unfinished(request: StatementRequest) -> Select[Any]:
    """Return the import of the same file, system, period and limits that has not ended."""
    columns = broker_statements.c
    return select(broker_statements).where(
        UNFINISHED,
        columns.digest == request.digest,
        columns.system == request.system,
        columns.starts_at == request.starts_at,
        columns.ends_at == request.ends_at,
        columns.margin_s == request.margin_s,
        columns.differences_max == request.differences_max,
        columns.line_count == request.line_count,
    )


@registered(())
def all_unfinished() -> Select[Any]:
    """Return every import that has not ended; the number of them is limited."""
    return select(broker_statements).where(UNFINISHED)


@registered((17, 3, {"lines_received": 1}))
def advance(statement_id: int, revision: int, values: dict[str, Any]) -> Update:
    """Update an import if it still has this revision."""
    columns = broker_statements.c
    return (
        update(broker_statements)
        .where(columns.statement_id == statement_id, columns.revision == revision)
        .values({**values, "revision": revision + 1})
        .returning(columns.revision)
    )


@registered((17, _SAMPLE_TIME))
def touch(statement_id: int, at: datetime) -> Update:
    """Set the time of the last write of an import, and return the import."""
    columns = broker_statements.c
    touched = update(broker_statements).where(columns.statement_id == statement_id).values(updated_at=at)
    return touched.returning(broker_statements)


@registered((17, "", 2000), (17, "N-17", 2000))
def lines_after(statement_id: int, number: str, limit: int) -> Select[Any]:
    """Return the lines of a statement with a number above `number`, in order of number and position."""
    columns = broker_statement_lines.c
    query = select(broker_statement_lines).where(columns.statement_id == statement_id, columns.number > number)
    return query.order_by(columns.statement_id, columns.number, columns.position).limit(limit)


@registered((_SAMPLE_IDS,))
def entries(settlement_ids: Collection[SettlementId]) -> Select[Any]:
    """Return what a comparison needs of these settlements."""
    return select(*ENTRY_COLUMNS).where(settlements.c.settlement_id.in_(settlement_ids))


@registered((_SAMPLE_IDS,))
def resolutions(settlement_ids: Sequence[SettlementId]) -> Select[Any]:
    """Return id and reason code of the resolutions of these settlements, in order of position."""
    columns = operator_actions.c
    query = select(columns.settlement_id, columns.reason_code)
    query = query.where(columns.settlement_id.in_(settlement_ids), columns.kind == ActionKind.RESOLVE.value)
    return query.order_by(columns.settlement_id, columns.position, columns.chain_position)


@registered(((_SAMPLE_TIME, SettlementId(DEFAULT_SYSTEM, "")), _SAMPLE_TIME.replace(hour=13), 1000))
def accepted(after: tuple[datetime, SettlementId], before: datetime, limit: int) -> Select[Any]:
    """Return time and id of settlements of the external system of the cursor `after`, in this order.

    They were accepted after the cursor and before a time.
    """
    columns = settlements.c
    query = select(columns.accepted_at, columns.settlement_id).where(
        columns.system == after[1].system,
        tuple_(columns.accepted_at, columns.settlement_id) > after,
        columns.accepted_at < before,
    )
    return query.order_by(columns.accepted_at, columns.settlement_id).limit(limit)


@registered((17, ["N-1", "N-2"]))
def listed(statement_id: int, numbers: Collection[str]) -> Select[Any]:
    """Return those of these numbers that a statement has."""
    columns = broker_statement_lines.c
    query = select(columns.number).where(columns.statement_id == statement_id, columns.number.in_(numbers))
    return query.distinct()


@registered((17, 5_000))
def nth_number(statement_id: int, offset: int) -> Select[Any]:
    """Return the number of the line at an offset, in order of number; no row if the statement has fewer lines."""
    columns = broker_statement_lines.c
    query = select(columns.number).where(columns.statement_id == statement_id)
    return query.order_by(columns.statement_id, columns.number, columns.position).offset(offset).limit(1)


@registered((17,))
def last_number(statement_id: int) -> Select[Any]:
    """Return the number of the last line, in order of number; no row if the statement has no lines."""
    columns = broker_statement_lines.c
    query = select(columns.number).where(columns.statement_id == statement_id)
    return query.order_by(columns.statement_id.desc(), columns.number.desc(), columns.position.desc()).limit(1)


@registered((17, "N-17"))
def delete_lines(statement_id: int, to_number: str) -> Delete:
    """Delete the lines of a statement up to a number."""
    columns = broker_statement_lines.c
    lines = delete(broker_statement_lines)
    return lines.where(columns.statement_id == statement_id, columns.number <= to_number)


@registered((17, 100))
def differences(statement_id: int, limit: int) -> Select[Any]:
    """Return the first differences of a statement, in order of number and kind."""
    columns = broker_statement_differences.c
    query = select(broker_statement_differences).where(columns.statement_id == statement_id)
    return query.order_by(columns.statement_id, columns.number, columns.kind).limit(limit)


@registered((17, None), (17, ("N-17", "STATEMENT_UNKNOWN_NUMBER")))
def delete_differences(statement_id: int, to: tuple[str, str] | None) -> Delete:
    """Delete the differences of a statement up to a number and kind; None: all."""
    columns = broker_statement_differences.c
    query = delete(broker_statement_differences).where(columns.statement_id == statement_id)
    return query if to is None else query.where(tuple_(columns.number, columns.kind) <= to)
