"""Every statement that reads, changes or deletes rows, in one table (`QUERIES`) whose plans a test checks."""

from ledger.queries import batch_retry as batches
from ledger.queries import keys as api_keys
from ledger.queries import reconciliation, settlements, temporal
from ledger.queries.table import QUERIES, QueryEntry

__all__ = ["QUERIES", "QueryEntry", "api_keys", "batches", "reconciliation", "settlements", "temporal"]
