"""Reads settlements with their audit."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, Table

from ledger import queries, rows
from ledger.tables import external_calls, operator_actions, state_changes
from settlement.ids import SettlementId
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput


@dataclass(frozen=True)
class SettlementRecord:
    """A settlement as the ledger has it."""

    settlement: SettlementInput
    snapshot: Snapshot

    @property
    def settlement_id(self) -> SettlementId:
        """Its identity."""
        return self.settlement.settlement_id


def read_record(connection: Connection, query: Select[Any]) -> SettlementRecord | None:
    """Return the settlement that a query of one row finds, with its audit; None if it finds none."""
    row = connection.execute(query)
    found = with_audit(connection, row.all())
    return found[0] if found else None


def read_conflicting(connection: Connection, settlement: SettlementInput) -> SettlementRecord | None:
    """Return the settlement that uses the number of an order: that of its company before one of another company."""
    number, company_id = settlement.adjust.requestUniqueNo, settlement.company_id
    of_company = read_record(connection, queries.settlements.of_company(number, company_id))
    return of_company or read_record(connection, queries.settlements.settlement(settlement.settlement_id))


def with_audit(connection: Connection, found: Sequence[Row[Any]]) -> list[SettlementRecord]:
    """Return the settlements of these rows, with their audit. Each table of the audit is read by one statement."""
    ids = [row.settlement_id for row in found]
    calls = _audit_rows(connection, external_calls, ids)
    actions = _audit_rows(connection, operator_actions, ids)
    changes = _audit_rows(connection, state_changes, ids)
    return [
        SettlementRecord(rows.to_input(row), rows.to_snapshot(row, calls[each], actions[each], changes[each]))
        for each, row in zip(ids, found, strict=True)
    ]


def _audit_rows(
    connection: Connection, table: Table, settlement_ids: list[SettlementId]
) -> defaultdict[SettlementId, list[Row[Any]]]:
    by_settlement: defaultdict[SettlementId, list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(_audit_query(table), {"settlement_ids": settlement_ids}).all():
        known = by_settlement[row.settlement_id]
        if known and known[-1].position == row.position:
            known.pop()  # a repeated workflow task has corrected this entry
        known.append(row)
    return by_settlement


@cache
def _audit_query(table: Table) -> Select[Any]:
    return queries.settlements.audit_rows(table)
