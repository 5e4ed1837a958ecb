"""All statements that read, change or delete rows of the ledger, registered in `QUERIES`. A test checks their plans."""

from ledger.queries import (
    audit,
    breaker_reports,
    broker_statement,
    external_systems,
    order_sums,
    reconciliation,
    security_events,
    settlements,
    temporal,
)
from ledger.queries import batch_retry as batches
from ledger.queries import keys as api_keys
from ledger.queries.table import QUERIES, QueryEntry

__all__ = [
    "QUERIES",
    "QueryEntry",
    "api_keys",
    "audit",
    "batches",
    "breaker_reports",
    "broker_statement",
    "external_systems",
    "order_sums",
    "reconciliation",
    "security_events",
    "settlements",
    "temporal",
]
