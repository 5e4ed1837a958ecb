"""The durable record of every settlement. GET reads it, and it keeps idempotency beyond Temporal's retention.

`tables` defines the schema. `queries` contains every statement that reads, changes or deletes rows. `engine` opens
SQLite or PostgreSQL. `migrate` brings a database to the current schema.
"""

from ledger.batch_retry.batches import Batches
from ledger.breaker_reports import BreakerReports
from ledger.broker_statement.comparison import StatementComparison
from ledger.broker_statement.statements import BrokerStatements, StatementRefusedError
from ledger.conflicts import DecisionConflictError, NumberConflictError, NumberReusedError
from ledger.engine import open_engine
from ledger.external_systems import SystemPausedError, SystemPauses
from ledger.filters import SettlementFilter
from ledger.gauges import Gauges
from ledger.keys import KeyRing, StoredKey
from ledger.reconciliation.findings import Findings
from ledger.reconciliation.take_ups import Permit, TakeUps
from ledger.records import SettlementRecord
from ledger.security_events import SecurityEvents
from ledger.settlements import Ledger, Page
from ledger.summaries import SettlementSummaries, SettlementSummary
from ledger.temporal_binding import TemporalBinding, TemporalIdentity

__all__ = [
    "Batches",
    "BreakerReports",
    "BrokerStatements",
    "DecisionConflictError",
    "Findings",
    "Gauges",
    "KeyRing",
    "Ledger",
    "NumberConflictError",
    "NumberReusedError",
    "Page",
    "Permit",
    "SecurityEvents",
    "SettlementFilter",
    "SettlementRecord",
    "SettlementSummaries",
    "SettlementSummary",
    "StatementComparison",
    "StatementRefusedError",
    "StoredKey",
    "SystemPausedError",
    "SystemPauses",
    "TakeUps",
    "TemporalBinding",
    "TemporalIdentity",
    "open_engine",
]
