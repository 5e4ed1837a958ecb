"""The ledger's tables. A change here needs a migration; a test compares the two."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, text

import ledger.external_system_tables  # noqa: F401 - the metadata of the ledger has all tables
from contract.fields import AMOUNT_LENGTH_MAX, UNIQUE_NO_LENGTH_MAX
from ledger.audit_tables import external_calls as external_calls  # noqa: PLC0414 - the tables of the ledger are all found here
from ledger.audit_tables import operator_actions as operator_actions  # noqa: PLC0414 - as above
from ledger.audit_tables import state_changes as state_changes  # noqa: PLC0414 - as above
from ledger.key_tables import api_keys as api_keys  # noqa: PLC0414 - as above
from ledger.schema import CLOSED_FINDING, OPEN, OPEN_FINDING, VOID_END, SettlementIdText, UtcDateTime, metadata, only
from ledger.security_event_tables import security_events as security_events  # noqa: PLC0414 - as above
from settlement.order_limits import LIMIT_NAME_LENGTH_MAX
from settlement.system_names import SYSTEM_NAME_LENGTH_MAX

_NO = String(UNIQUE_NO_LENGTH_MAX)
# No String(64): SQLite estimates the length of a row from the declared lengths, and then chooses other indexes.
_HASH = _SALT = Text
_SYSTEM = String(SYSTEM_NAME_LENGTH_MAX)

settlements = Table(
    "settlements",
    metadata,
    # External system and requestUniqueNo as one text, so that every reference to a settlement is one column.
    Column("settlement_id", SettlementIdText, primary_key=True),
    Column("request_unique_no", _NO, nullable=False),
    Column("input", JSON, nullable=False),
    Column("order_id", BigInteger, nullable=False),
    Column("user_name", String(48), nullable=False),
    Column("company_id", BigInteger),
    # Who submitted the order: client and id of the API key. Also in `input`; here for queries by hand.
    Column("client", String(64)),
    Column("key_id", String(32)),
    # Name of the external system in the configuration; it may have been removed there.
    Column("system", _SYSTEM, nullable=False),
    Column("currency", String(16), nullable=False),
    # The decimal string as received. No number type of both databases would store it exactly.
    Column("amount", String(AMOUNT_LENGTH_MAX), nullable=False),
    Column("accepted_at", UtcDateTime, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("decision", String(16)),
    Column("cancel_result", String(16)),
    Column("reason", Text, nullable=False),
    Column("decided_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
    # Whether the external system may hold the amount although the order is void. Exposure counts these.
    Column("in_doubt", Boolean, nullable=False),
    # The rule of the last external call; for an ABORTED settlement, the cause.
    Column("last_rule", String(32)),
    Column("cancel_intents", JSON, nullable=False),
    # The resolution that waits for a second operator, or that was approved; null if there is none.
    Column("proposal", JSON(none_as_null=True)),
    # Key of the tokens of personal data in `acceptance_hash`, the hash of the columns above that never change.
    Column("salt", _SALT, nullable=False),
    Column("acceptance_hash", _HASH, nullable=False),
    # The end of the chain of the audit's rows (`ledger.chain.Head`).
    Column("chain_length", Integer, nullable=False),
    Column("chain_head", _HASH, nullable=False),
    Column("recorded_calls", Integer, nullable=False),
    Column("recorded_actions", Integer, nullable=False),
    Column("recorded_state_changes", Integer, nullable=False),
    # A company may move to another external system. Its numbers stay unique, so that a repeated order is not settled
    # twice. Two indexes, because nulls are never equal. The first one also finds the settlements with a number.
    Index("uq_settlements_number_of_company", "request_unique_no", "company_id", unique=True),
    Index(
        "uq_settlements_number_without_company",
        "request_unique_no",
        unique=True,
        **only(text("company_id IS NULL")),
    ),
    # Lists are ordered by acceptance time, then by id. Each filter needs its own index.
    Index(None, "accepted_at", "settlement_id"),
    Index(None, "state", "accepted_at"),
    Index(None, "order_id"),
    Index(None, "user_name", "accepted_at"),
    # With the id, because lists of several companies and the comparison with a statement read in this order.
    Index(None, "company_id", "accepted_at", "settlement_id"),
    Index(None, "system", "accepted_at", "settlement_id"),
    Index(None, "currency", "accepted_at"),
    # A void end is rare, so a list of one would read nearly all settlements with the same value. An order that is
    # settled is in none of these.
    *(
        Index(f"ix_settlements_void_of_{name}", name, "state", "accepted_at", "settlement_id", **only(VOID_END))
        for name in ("company_id", "system", "currency")
    ),
    Index("ix_settlements_cause", "last_rule", "accepted_at", **only(OPEN)),
    Index(
        "ix_settlements_cancel_result",
        "cancel_result",
        "accepted_at",
        **only(text("cancel_result IS NOT NULL")),
    ),
    Index(
        "ix_settlements_in_doubt",
        "accepted_at",
        # As SQLAlchemy writes the condition for SQLite, which uses a partial index only for exactly the same text.
        sqlite_where=text("in_doubt = 1"),
        postgresql_where=text("in_doubt"),
    ),
    # For reconciliation, which scans only open settlements among many that have ended.
    Index("ix_settlements_open", "accepted_at", "settlement_id", **only(OPEN)),
)

# The sums per hour of order limits: of each limit and currency, the sum of each of the last minutes as text, by the
# number of the minute since 1970.
order_sums = Table(
    "order_sums",
    metadata,
    Column("limit_name", String(LIMIT_NAME_LENGTH_MAX), primary_key=True),
    Column("currency", String(16), primary_key=True),
    Column("minutes", JSON, nullable=False),
)

batches = Table(
    "batches",
    metadata,
    Column("batch_id", String(36), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("operator", String(64), nullable=False),
    Column("key_id", String(32)),
    # The company of the selection; null if it names none. Keys with the scope of some companies see only theirs.
    Column("company_id", BigInteger),
    # From the request that created the batch. Null if the request had none, so it cannot be repeated safely.
    Column("idempotency_key", String(128)),
    Column("reason_code", String(32), nullable=False),
    Column("note", Text, nullable=False),
    Column("selection", JSON, nullable=False),
    Column("expected_count", Integer, nullable=False),
    # The maximum sums of the request by currency; null if it named none.
    Column("sums_max", JSON(none_as_null=True)),
    Column("rate_per_s", Float, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Index("uq_batches_operator_idempotency_key", "operator", "idempotency_key", unique=True),
    Index(None, "created_at", "batch_id"),
    Index(None, "company_id", "created_at", "batch_id"),
    Index(
        *("ix_batches_running", "created_at", "batch_id"),
        **only(text("state = 'RUNNING'")),
    ),
)

batch_items = Table(
    "batch_items",
    metadata,
    Column("batch_id", String(36), ForeignKey(batches.c.batch_id), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("settlement_id", SettlementIdText, ForeignKey(settlements.c.settlement_id), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", UtcDateTime),
    Index(
        *("ix_batch_items_pending", "batch_id", "position"),
        **only(text("outcome = 'PENDING'")),
    ),
)

findings = Table(
    "findings",
    metadata,
    Column("finding_id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(32), nullable=False),
    # No foreign key: a finding can be about a settlement that the ledger does not have.
    Column("settlement_id", SettlementIdText, nullable=False),
    # The company of the settlement; null if it has none, or if the ledger did not have the settlement.
    Column("company_id", BigInteger),
    Column("status", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Column("repair", Text, nullable=False),
    Column("found_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    Column("rounds", Integer, nullable=False),
    # Number of writes, including repeats within a round. 1 identifies a new finding.
    Column("sightings", Integer, nullable=False),
    Column("closed_at", UtcDateTime),
    # Only of findings of a broker statement: the amount in question, as text like every amount.
    Column("amount", String(AMOUNT_LENGTH_MAX)),
    Column("currency", String(16)),
    Index(None, "status", "finding_id"),
    Index(None, "company_id", "finding_id"),
    Index(None, "company_id", "status", "finding_id"),
    Index("uq_findings_open", "settlement_id", "kind", unique=True, **only(OPEN_FINDING)),
    Index("ix_findings_closed", "settlement_id", "kind", "finding_id", **only(CLOSED_FINDING)),
)

# Incremented when a finding is inserted. Counting the findings themselves would read all of them.
finding_counts = Table(
    "finding_counts",
    metadata,
    Column("kind", String(32), primary_key=True),
    Column("total", BigInteger, nullable=False),
)

temporal_home = Table(
    "temporal_home",
    metadata,
    # Always 1: the ledger is bound to one Temporal namespace.
    Column("home_id", Integer, primary_key=True, autoincrement=False),
    Column("cluster_id", String(64), nullable=False),
    Column("namespace", Text, nullable=False),
    Column("namespace_id", String(64), nullable=False),
    Column("adopted_at", UtcDateTime, nullable=False),
    Column("adopted_by", String(64), nullable=False),
)

take_up_counts = Table(
    "take_up_counts",
    metadata,
    # Number of lost workflows that a round has restarted. The start time identifies the round.
    Column("round_started_at", UtcDateTime, primary_key=True),
    Column("used", Integer, nullable=False),
)

take_up_allowances = Table(
    "take_up_allowances",
    metadata,
    Column("allowance_id", Integer, primary_key=True, autoincrement=True),
    Column("count", Integer, nullable=False),
    Column("used", Integer, nullable=False),
    Column("operator", String(64), nullable=False),
    Column("key_id", String(32)),
    Column("note", Text, nullable=False),
    Column("allowed_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Index(None, "expires_at", "allowance_id"),
)

reconciliation_rounds = Table(
    "reconciliation_rounds",
    metadata,
    Column("round_id", String(64), primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime, nullable=False),
    Column("ledger_checked", Integer, nullable=False),
    Column("temporal_checked", Integer, nullable=False),
    Column("found", Integer, nullable=False),
    Column("repaired", Integer, nullable=False),
    Column("complete", Boolean, nullable=False),
    # Time up to which Temporal's closed workflows have been scanned; null if the round did not complete the scan.
    # A restored backup also restores this time, so the next round scans everything since the backup.
    Column("listed_to", UtcDateTime),
    Index(None, "ended_at"),
    Index(None, "listed_to"),
)
