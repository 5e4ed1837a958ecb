"""The hash chain of a settlement: what a row of the audit and an acceptance are hashed over. Pure functions.

Every row of the audit has a SHA-256 over its content and the hash of the row before it in the same settlement. A field
that may hold personal data is hashed as a token. An erasure replaces the field by exactly this token and clears the
salt, so the hash stays valid and the text cannot be guessed (ADR 0027).
"""

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from settlement.ids import SettlementId

Values = Mapping[str, Any]

NO_HASH = "0" * 64
"""Stands for the hash before the first row of a chain."""

ERASED = "erased-"
"""Begins every token."""

_TOKEN_DIGITS = 32
"""Hexadecimal digits of a token: 128 bits. A token fits into the shortest personal field, 48 characters."""

PERSONAL_OF_ORDER = frozenset({"userName", "thirdServerCode", "ip", "metadata"})
"""Fields of an order that are, or may hold, personal data: name, customer number, address, free text."""

PERSONAL = {
    "external_calls": frozenset({"detail", "msg", "msg_params", "data"}),
    "operator_actions": frozenset({"note", "broker_reference"}),
    "state_changes": frozenset[str](),
}
"""Columns of the audit that may hold personal data: texts of the external system and of operators."""

_NOT_HASHED = frozenset({"salt", "row_hash"})
_NOT_OF_EVENT = frozenset({"event_id", "row_hash"})


@dataclass(frozen=True)
class Head:
    """The end of a chain, as the row of its settlement has it."""

    chain_length: int = 0
    """Number of rows in the chain."""
    chain_head: str = NO_HASH
    """Hash of the last row."""
    recorded_calls: int = 0
    """Position after the last external call in the ledger. Every call from this position on is new."""
    recorded_actions: int = 0
    recorded_state_changes: int = 0


def new_salt() -> str:
    """Return a random salt of 128 bits, in hexadecimal."""
    return secrets.token_hex(16)


def token(salt: str, name: str, text: str) -> str:
    """Return the token of a personal field: what it is hashed as, and what an erasure replaces it by.

    A text that is a token already stays, so that the hash of an erased row can be computed.
    """
    if text.startswith(ERASED):
        return text
    digest = hmac.digest(salt.encode(), f"{name}\0{text}".encode("utf-8", "surrogatepass"), "sha256")
    return f"{ERASED}{digest.hex()[:_TOKEN_DIGITS]}"


def hash_of_row(table: str, values: Values, previous: str) -> str:
    """Return the hash of a row of the audit, which follows the row with the hash `previous`.

    A column that is null is left out. So a column that a later version adds changes no hash.
    """
    personal, salt = PERSONAL[table], values.get("salt", "")
    content = {
        name: token(salt, name, value) if name in personal else value
        for name, value in values.items()
        if value is not None and name not in _NOT_HASHED
    }
    return _digest(previous, table, content)


def hash_of_acceptance(values: Values) -> str:
    """Return the hash of an accepted order: of all columns of its row that never change."""
    salt, order = values["salt"], values["input"]
    adjust = {
        name: token(salt, name, value) if name in PERSONAL_OF_ORDER and isinstance(value, str) else value
        for name, value in order["adjust"].items()
    }
    content = {name: values[name] for name in ACCEPTED_COLUMNS if values[name] is not None}
    content |= {"user_name": token(salt, "userName", values["user_name"]), "input": order | {"adjust": adjust}}
    return _digest(NO_HASH, "settlements", content)


def hash_of_event(values: Values) -> str:
    """Return the hash of a security event. Events are no chain, so that their writers do not wait for each other."""
    content = {name: value for name, value in values.items() if value is not None and name not in _NOT_OF_EVENT}
    return _digest(NO_HASH, "security_events", content)


ACCEPTED_COLUMNS = (
    *("settlement_id", "request_unique_no", "order_id", "company_id", "client", "key_id", "system", "currency"),
    *("amount", "accepted_at"),
)
"""Columns of an accepted order that neither a settlement nor an erasure changes."""


def _digest(previous: str, table: str, content: Values) -> str:
    text = json.dumps(content, default=_as_text, sort_keys=True, separators=(",", ":"))
    return sha256(f"1\n{previous}\n{table}\n{text}".encode()).hexdigest()


def _as_text(value: object) -> str:
    """Return a value that JSON does not know as text, the same before it is written and after it is read."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, SettlementId):
        return str(value)
    message = f"a {type(value).__name__} cannot be hashed"
    raise TypeError(message)
