"""The statements that write a settlement, for both databases.

Each function converts its arguments first, and returns a function that executes the statements in a transaction. So a
transaction holds its locks only while statements are executed. Each one begins with a write.

The text of a statement never depends on its values. So SQLAlchemy compiles it once, and not for each settlement.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Update, and_, or_

from ledger import queries, rows
from ledger.audit_writes import AuditWrite
from ledger.conflicts import DecisionConflictError
from ledger.external_systems import SystemPausedError, read_pause
from ledger.filters import HEAD, first_head, is_replaced_by
from ledger.group_commit import Statements
from ledger.order_sums import count_new_order
from ledger.tables import settlements
from ledger.transactions import insert_of
from settlement.ids import SettlementId
from settlement.order_limits import OrderLimit
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.states import State
from settlement.tasks import RecordResult


def accepting(settlement: SettlementInput, snapshot: Snapshot, limits: Sequence[OrderLimit]) -> Statements[bool]:
    """Insert a settlement unless its number is in use, and count it in its limits; return whether it was inserted.

    Raises SystemPausedError if its external system is paused, and AmountLimitError if the order is above a limit. The
    transaction must then be rolled back.
    """
    values = rows.settlement_values(settlement, snapshot)

    def statements(connection: Connection) -> bool:
        inserted = connection.execute(_insert_new(connection.dialect.name), values)
        if inserted.first() is None:
            return False
        if (pause := read_pause(connection, settlement.system)) is not None:
            raise SystemPausedError(settlement.system, pause)
        count_new_order(connection, settlement, limits)
        return True

    return statements


def recording(settlement: SettlementInput, snapshot: Snapshot) -> Statements[bool]:
    """Insert a settlement, or update it if the snapshot replaces it; return whether it was written.

    Raises DecisionConflictError if the ledger has the opposite decision, and IntegrityError if the order has another
    settlement.
    """
    audit = AuditWrite(settlement.settlement_id, snapshot)
    values = rows.settlement_values(settlement, snapshot) | audit.first_head
    changed = tuple(rows.snapshot_values(snapshot))

    def statements(connection: Connection) -> bool:
        written = connection.execute(_upsert_replaced(connection.dialect.name, changed), values).first()
        if written is None:
            _raise_on_conflict(connection, settlement.settlement_id, snapshot)
            return False
        audit.append(connection, written)
        return True

    return statements


def recording_since(settlement_id: SettlementId, since_version: int, snapshot: Snapshot) -> Statements[RecordResult]:
    """Update a settlement if its version is at least `since_version` and the snapshot replaces it.

    Raises DecisionConflictError if the ledger has the opposite decision.
    """
    values = rows.snapshot_values(snapshot)
    changed = tuple(values)
    audit = AuditWrite(settlement_id, snapshot)
    parameters = {f"new_{name}": value for name, value in (values | audit.first_head).items()}
    parameters |= {"recorded_id": settlement_id, "since_version": since_version}

    def statements(connection: Connection) -> RecordResult:
        written = connection.execute(_update(changed), parameters).first()
        if written is None:
            _raise_on_conflict(connection, settlement_id, snapshot)
            known = connection.execute(queries.settlements.version_since(settlement_id, since_version))
            return RecordResult.NOT_NEWER if known.first() is not None else RecordResult.LEDGER_BEHIND
        audit.append(connection, written)
        return RecordResult.RECORDED

    return statements


def _raise_on_conflict(connection: Connection, settlement_id: SettlementId, snapshot: Snapshot) -> None:
    query = queries.settlements.conflicting_decision(settlement_id, snapshot.decision)
    if (known := connection.execute(query).first()) is not None:
        raise DecisionConflictError(settlement_id, State(known.state), snapshot.state)


@cache
def _insert_new(dialect: str) -> Any:  # noqa: ANN401 - as `insert_of`
    return insert_of(dialect, settlements).on_conflict_do_nothing().returning(settlements.c.version)


@cache
def _upsert_replaced(dialect: str, changed: tuple[str, ...]) -> Any:  # noqa: ANN401 - as `insert_of`
    """Return the INSERT of a settlement that updates the columns `changed` of a row with the same decision.

    `is_replaced_by` says which versions it replaces.
    """
    known, statement = settlements.c, insert_of(dialect, settlements)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=[known.settlement_id],
        set_={name: new[name] for name in changed} | {name: first_head(name, new[name]) for name in HEAD},
        # A decision never changes.
        where=and_(
            is_replaced_by(new.version, new.state, new.updated_at),
            or_(known.decision.is_(None), known.decision == new.decision),
        ),
        # RETURNING, because the row count of an upsert means different things on the two databases.
    ).returning(*(known[name] for name in HEAD))


@cache
def _update(changed: tuple[str, ...]) -> Update:
    return queries.settlements.record(changed)
