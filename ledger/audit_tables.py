"""The tables of the audit, whose rows are one chain of hashes for each settlement (`ledger.chain`).

A change here needs a migration, as in `ledger.tables`.
"""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, text

from contract.fields import UNIQUE_NO_LENGTH_MAX
from ledger.schema import SettlementIdText, UtcDateTime, metadata, only

_NO = String(UNIQUE_NO_LENGTH_MAX)
# No String(64): SQLite estimates the length of a row from the declared lengths, and then chooses other indexes.
_HASH = _SALT = Text


def _chained(*, salted: bool) -> list[Column[Any] | Index]:
    """Return the key and the columns of a table of the audit, whose rows are never changed.

    An entry that a repeated workflow task corrects is another row with the same position: the last one in the chain is
    valid.
    """
    return [
        Column("settlement_id", SettlementIdText, ForeignKey("settlements.settlement_id"), primary_key=True),
        Column("position", Integer, primary_key=True),
        # From 1, in the chain of the settlement, which the three tables of the audit share.
        Column("chain_position", Integer, primary_key=True),
        # When the ledger was given the row, by the clock of the process that wrote it.
        Column("recorded_at", UtcDateTime, nullable=False),
        *([Column("salt", _SALT, nullable=False)] if salted else []),
        Column("row_hash", _HASH, nullable=False),
        # For the daily anchors of the audit.
        Index(None, "recorded_at", "settlement_id", "chain_position"),
    ]


external_calls = Table(
    "external_calls",
    metadata,
    *_chained(salted=True),
    Column("operation", String(32), nullable=False),
    Column("kind", String(16)),
    Column("request_unique_no", _NO, nullable=False),
    Column("round", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("sent_at", UtcDateTime, nullable=False),
    Column("duration_ms", Integer),
    Column("outcome", String(16), nullable=False),
    Column("rule", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("http_status", Integer),
    Column("retry_after_s", Integer),
    # The reply as in settlement.reply_record; all null if there was no valid reply.
    Column("code", String(64)),
    Column("msg", Text),
    Column("biz_code", String(64)),
    Column("tm", BigInteger),
    Column("trace", String(128)),
    Column("msg_params", Text),
    Column("data", Text),
    Column("ok", Boolean),
    Column("fail", Boolean),
    Column("phase", String(16)),
    Column("cancel_result", String(16)),
    # No unique key on the attempt number: an activity that is reset in the Temporal UI counts from 1 again, and a
    # violated key would block every further write of the settlement.
)

operator_actions = Table(
    "operator_actions",
    metadata,
    *_chained(salted=True),
    Column("kind", String(32), nullable=False),
    # Longer than a client: an unverified one is recorded as `temporal-ui, unverified (says NAME)`.
    Column("operator", String(128), nullable=False),
    Column("key_id", String(32)),
    Column("reason_code", String(32)),
    Column("note", Text, nullable=False),
    Column("broker_reference", Text),
    Column("proposal_no", Integer),
    Column("at", UtcDateTime, nullable=False),
    # No foreign key: after a backup was restored, an action can be written again although its batch is missing.
    Column("batch_id", String(36)),
    Index(
        "ix_operator_actions_batch",
        "batch_id",
        "settlement_id",
        **only(text("batch_id IS NOT NULL")),
    ),
)

state_changes = Table(
    "state_changes",
    metadata,
    # Positions from 1: event 0 is the acceptance, which is in the settlement's own row.
    *_chained(salted=False),
    Column("state", String(16), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
)
