"""The tables of broker statements. A change here needs a migration; a test compares the two."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text

from contract.fields import AMOUNT_LENGTH_MAX, UNIQUE_NO_LENGTH_MAX
from ledger.schema import UNFINISHED, UtcDateTime, metadata, only
from settlement.system_names import SYSTEM_NAME_LENGTH_MAX

_NO = String(UNIQUE_NO_LENGTH_MAX)

broker_statements = Table(
    "broker_statements",
    metadata,
    Column("statement_id", Integer, primary_key=True, autoincrement=True),
    Column("digest", String(64), nullable=False),
    Column("state", String(24), nullable=False),
    # The external system whose statement it is.
    Column("system", String(SYSTEM_NAME_LENGTH_MAX), nullable=False),
    Column("operator", String(64), nullable=False),
    Column("key_id", String(32)),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("margin_s", Integer, nullable=False),
    Column("differences_max", Integer, nullable=False),
    Column("line_count", Integer, nullable=False),
    # Grows with every write. A write that was prepared for another revision changes nothing.
    Column("revision", Integer, nullable=False),
    Column("lines_received", Integer, nullable=False),
    Column("lines_compared", Integer, nullable=False),
    Column("settlements_compared", Integer, nullable=False),
    Column("open_settlements", Integer, nullable=False),
    Column("undecided", Integer, nullable=False),
    Column("differences", Integer, nullable=False),
    Column("findings_new", Integer, nullable=False),
    Column("findings_open", Integer, nullable=False),
    Column("findings_closed", Integer, nullable=False),
    # Where the next page of the comparison starts. Empty and null: at the beginning.
    Column("number_after", _NO, nullable=False),
    Column("accepted_after", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("completed_at", UtcDateTime),
    # One import of a file at a time: a second request continues it.
    Index(
        "uq_broker_statements_unfinished",
        *("digest", "system", "starts_at", "ends_at", "margin_s", "differences_max", "line_count"),
        unique=True,
        **only(UNFINISHED),
    ),
)

broker_statement_lines = Table(
    "broker_statement_lines",
    metadata,
    Column("statement_id", Integer, ForeignKey(broker_statements.c.statement_id), primary_key=True),
    Column("number", _NO, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("amount", String(AMOUNT_LENGTH_MAX), nullable=False),
    Column("currency", String(16), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    # The table is its own primary key in order of number, which is the order of the comparison.
    sqlite_with_rowid=False,
)

broker_statement_differences = Table(
    "broker_statement_differences",
    metadata,
    Column("statement_id", Integer, ForeignKey(broker_statements.c.statement_id), primary_key=True),
    Column("number", _NO, primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("detail", Text, nullable=False),
    Column("amount", String(AMOUNT_LENGTH_MAX), nullable=False),
    Column("currency", String(16), nullable=False),
)
