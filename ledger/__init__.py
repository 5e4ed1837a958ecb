"""Our durable record of every settlement: what GET answers from, and the idempotency that outlives Temporal's.

`tables` says how it is stored; `queries` is the table of every statement that reads, changes or deletes rows; `engine`
opens SQLite or PostgreSQL; `migrate` brings a database to the current schema.
"""

from ledger.batch_retry.batches import Batches
from ledger.engine import open_engine
from ledger.filters import SettlementFilter
from ledger.gauges import Gauges
from ledger.keys import KeyRing, StoredKey
from ledger.reconciliation.findings import Findings
from ledger.reconciliation.take_ups import Permit, TakeUps
from ledger.settlements import DecisionConflictError, Ledger, NumberReusedError, Page, SettlementRecord
from ledger.summaries import SettlementSummaries, SettlementSummary
from ledger.temporal_home import TemporalHome

__all__ = [
    "Batches",
    "DecisionConflictError",
    "Findings",
    "Gauges",
    "KeyRing",
    "Ledger",
    "NumberReusedError",
    "Page",
    "Permit",
    "SettlementFilter",
    "SettlementRecord",
    "SettlementSummaries",
    "SettlementSummary",
    "StoredKey",
    "TakeUps",
    "TemporalHome",
    "open_engine",
]
