"""Our durable record of every settlement: what GET answers from, and the idempotency that outlives Temporal's.

`tables` says how it is stored; `queries` is the table of every statement that reads, changes or deletes rows; `engine`
opens SQLite or PostgreSQL; `migrate` brings a database to the current schema.
"""

from ledger.api_keys import KeyRing, StoredKey
from ledger.batches import Batches
from ledger.engine import open_engine
from ledger.findings import Findings
from ledger.gauges import Gauges
from ledger.ledger import Accepted, DecisionConflictError, Ledger, Page
from ledger.settlement_filter import SettlementFilter
from ledger.standings import Standing, Standings
from ledger.take_ups import TakeUps
from ledger.temporal_home import TemporalHome

__all__ = [
    "Accepted",
    "Batches",
    "DecisionConflictError",
    "Findings",
    "Gauges",
    "KeyRing",
    "Ledger",
    "Page",
    "SettlementFilter",
    "Standing",
    "Standings",
    "StoredKey",
    "TakeUps",
    "TemporalHome",
    "open_engine",
]
