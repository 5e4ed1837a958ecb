"""The table of circuit breakers, as workers report them. A change here needs a migration, as in `ledger.tables`."""

from sqlalchemy import Column, String, Table

from ledger.schema import UtcDateTime, metadata
from settlement.system_names import SYSTEM_NAME_LENGTH_MAX

breaker_reports = Table(
    "breaker_reports",
    metadata,
    Column("system", String(SYSTEM_NAME_LENGTH_MAX), primary_key=True),
    # A random name that each worker process takes at its start.
    Column("worker", String(32), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    # A report that is not repeated expires: its worker has ended, or cannot reach the ledger.
    Column("reported_at", UtcDateTime, nullable=False),
)
