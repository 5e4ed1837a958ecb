"""Appends the entries of a snapshot to the audit of its settlement, which is a chain of hashes (`ledger.chain`).

The row of the settlement has the end of the chain. Whoever writes the audit has updated that row in the same
transaction, so its lock orders the writers and no chain can have two continuations.

Most settlements write their audit once. So the statement that updates the row sets the end of a chain that has no row
yet, and returns what the end is now. If it is ours, only the rows must be inserted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Row, Select, Table, Update

from ledger import queries, rows
from ledger.chain import ERASED, PERSONAL, Head, Values, hash_of_row, new_salt
from ledger.tables import external_calls, operator_actions, state_changes
from ledger.transactions import insert_of
from settlement.ids import SettlementId
from settlement.snapshot import Snapshot

Part = tuple[Table, Sequence[Values]]
"""Entries of one table of the audit."""

_END = {external_calls: "recorded_calls", operator_actions: "recorded_actions", state_changes: "recorded_state_changes"}
"""Of each table of the audit, the field of `Head` with the position after its last entry."""


@dataclass(frozen=True)
class Continuation:
    """Rows that continue a chain, and its end after them."""

    parts: Sequence[Part]
    head: Head


def first_audit(settlement_id: SettlementId, snapshot: Snapshot) -> Continuation:
    """Return the rows of an audit that the ledger has nothing of."""
    return _continued(_parts_of(settlement_id, snapshot), Head())


class AuditWrite:
    """The write of one snapshot's audit. It can be executed again after a rollback."""

    def __init__(self, settlement_id: SettlementId, snapshot: Snapshot) -> None:
        self._settlement_id = settlement_id
        self._entries = _parts_of(settlement_id, snapshot)
        self._first = _continued(self._entries, Head())

    @property
    def first_head(self) -> rows.Values:
        """The columns of the settlement's row after this write if the chain has no row yet."""
        return asdict(self._first.head)

    def append(self, connection: Connection, known: Row[Any]) -> None:
        """Insert the entries that the ledger does not have. `known` has the end of the chain after the row's update."""
        head = Head(**{each.name: getattr(known, each.name) for each in fields(Head)})
        if head == self._first.head:
            return _insert(connection, self._first.parts)
        missing = (self._missing(connection, head, *part) for part in self._entries)
        new = [part for part in missing if part[1]]
        if new:
            continued = _continued(new, head)
            _insert(connection, continued.parts)
            changed = {f"new_{name}": value for name, value in asdict(continued.head).items()}
            connection.execute(_move_head(), changed | {"recorded_id": self._settlement_id})
        return None

    def _missing(self, connection: Connection, head: Head, table: Table, entries: Sequence[Values]) -> Part:
        """Return the entries that the ledger does not have, or has with other content."""
        if not entries or entries[0]["position"] >= getattr(head, _END[table]):
            return table, entries
        wanted = {"recorded_id": self._settlement_id, "first_position": entries[0]["position"]}
        found = connection.execute(_recorded_rows(table), wanted).mappings()
        known: dict[int, Values] = {row["position"]: dict(row) for row in found}
        return table, [each for each in entries if not _is_same(table, each, known.get(each["position"]))]


def _parts_of(settlement_id: SettlementId, snapshot: Snapshot) -> list[Part]:
    return [
        (external_calls, rows.call_values(settlement_id, snapshot)),
        (operator_actions, rows.action_values(settlement_id, snapshot)),
        (state_changes, rows.state_change_values(settlement_id, snapshot)),
    ]


def _continued(parts: Iterable[Part], head: Head) -> Continuation:
    recorded_at = datetime.now(UTC)
    chained: list[Part] = []
    for table, entries in parts:
        new: list[Values] = []
        for entry in entries:
            place = {"chain_position": head.chain_length + 1, "recorded_at": recorded_at}
            values = {**entry, **place, **({"salt": new_salt()} if PERSONAL[table.name] else {})}
            row_hash = hash_of_row(table.name, values, head.chain_head)
            new.append({**values, "row_hash": row_hash})
            end = {_END[table]: max(getattr(head, _END[table]), entry["position"] + 1)}
            head = replace(head, chain_length=head.chain_length + 1, chain_head=row_hash, **end)
        chained.append((table, new))
    return Continuation(chained, head)


def _insert(connection: Connection, parts: Iterable[Part]) -> None:
    for table, entries in parts:
        if entries:
            connection.execute(_insert_into(connection.dialect.name, table), entries)


def _is_same(table: Table, entry: Values, known: Values | None) -> bool:
    """Return whether a row of the ledger has the content of an entry. An erased text counts as the same."""
    if known is None:
        return False
    return all(
        value == known[name]
        or (name in PERSONAL[table.name] and isinstance(known[name], str) and known[name].startswith(ERASED))
        for name, value in entry.items()
    )


@cache
def _insert_into(dialect: str, table: Table) -> Insert:
    statement: Insert = insert_of(dialect, table)
    return statement


@cache
def _recorded_rows(table: Table) -> Select[Any]:
    return queries.settlements.recorded_rows(table)


@cache
def _move_head() -> Update:
    return queries.settlements.move_head()
