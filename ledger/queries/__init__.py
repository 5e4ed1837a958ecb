"""Every statement that reads, changes or deletes rows, in one table (`QUERIES`) whose plans a test checks."""

from ledger.queries import api_keys, batches, reconciliation, settlements, temporal
from ledger.queries.table import QUERIES, Listed

__all__ = ["QUERIES", "Listed", "api_keys", "batches", "reconciliation", "settlements", "temporal"]
