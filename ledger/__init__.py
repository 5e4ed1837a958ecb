"""Our durable record of every settlement: what GET answers from, and the idempotency that outlives Temporal's.

`tables` says how it is stored, `ledger`, `api_keys` and `batches` hold every SQL statement, `engine` opens SQLite or
PostgreSQL, `migrate` brings a database to the current schema.
"""

from ledger.api_keys import KeyRing, StoredKey
from ledger.batches import Batches
from ledger.engine import open_engine
from ledger.gauges import Gauges
from ledger.ledger import Accepted, Ledger, Page
from ledger.settlement_filter import SettlementFilter

__all__ = ["Accepted", "Batches", "Gauges", "KeyRing", "Ledger", "Page", "SettlementFilter", "StoredKey", "open_engine"]
