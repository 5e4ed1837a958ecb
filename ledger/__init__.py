"""Our durable record of every settlement: what GET answers from, and the idempotency that outlives Temporal's.

`tables` says how it is stored, `ledger` holds every SQL statement, `engine` opens SQLite or PostgreSQL,
`migrate` brings a database to the current schema.
"""

from ledger.engine import open_engine
from ledger.ledger import Accepted, Ledger, Page

__all__ = ["Accepted", "Ledger", "Page", "open_engine"]
