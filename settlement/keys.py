"""Roles of API keys, and the permissions that the API's routes require."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from contract.model import Model


class Permission(StrEnum):
    """A permission that a route requires."""

    SUBMIT = "SUBMIT"
    """Submit orders for settlement."""
    READ = "READ"
    """Read settlements, exposure, batches, findings, metrics."""
    ACT = "ACT"
    """Act on settlements: retry, resolve, batch retries, reconciliation."""
    MANAGE_KEYS = "MANAGE_KEYS"
    """Create, list and revoke API keys."""


class Role(StrEnum):
    """Role of an API key. Each key has one role; `PERMISSIONS` lists what each role may do."""

    PLATFORM = "platform"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.PLATFORM: frozenset({Permission.SUBMIT, Permission.READ}),
    Role.VIEWER: frozenset({Permission.READ}),
    Role.OPERATOR: frozenset({Permission.READ, Permission.ACT}),
    # Only keys: the key that grants rights must not be able to move money.
    Role.ADMIN: frozenset({Permission.MANAGE_KEYS}),
}

ACTIVE_KEYS_MAX = 2
"""Maximum number of active keys of one owner: the current key, and its replacement during a rotation."""

RESERVED_OWNERS = frozenset({"local", "temporal", "temporal-ui", "reconciliation", "first-key"})
"""Names that the audit uses for actions without an API key. A key owner with such a name would make them ambiguous."""


def _not_reserved(value: str) -> str:
    if value in RESERVED_OWNERS:
        names = ", ".join(sorted(RESERVED_OWNERS))
        message = f"must not be one of {names}: the audit uses these names for actions without a key"
        raise ValueError(message)
    return value


Owner = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._@-]{0,63}$"), AfterValidator(_not_reserved)]


class ApiKey(Model):
    """An API key without its secret."""

    key_id: str
    owner: str
    role: Role
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None
    revoked_by: str | None = None
