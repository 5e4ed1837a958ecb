"""Who may do what at the front door: roles of API keys and the permissions that routes ask for."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from contract.model import Model


class Permission(StrEnum):
    """What a route asks for."""

    SUBMIT = "SUBMIT"
    """Have orders settled."""
    READ = "READ"
    """Read settlements, exposure, batches, findings, metrics."""
    ACT = "ACT"
    """Put settlements right: retry, resolve, batches, reconciliation."""
    MANAGE_KEYS = "MANAGE_KEYS"
    """Make, list and revoke API keys."""


class Role(StrEnum):
    """What a key is for. Each key has one; `PERMISSIONS` says what it may do."""

    PLATFORM = "platform"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.PLATFORM: frozenset({Permission.SUBMIT, Permission.READ}),
    Role.VIEWER: frozenset({Permission.READ}),
    Role.OPERATOR: frozenset({Permission.READ, Permission.ACT}),
    # Keys and nothing else: whoever hands out rights does not move money with the same key.
    Role.ADMIN: frozenset({Permission.MANAGE_KEYS}),
}

ACTIVE_KEYS_MAX = 2
"""Active keys of one owner: the one in use, and the one it is being replaced by."""

RESERVED_OWNERS = frozenset({"local", "temporal", "temporal-ui", "reconciliation", "first-key"})
"""Names under which the audit keeps acts that no key stands behind; a key of that name would blur them."""


def _not_reserved(value: str) -> str:
    if value in RESERVED_OWNERS:
        message = f"must be none of {', '.join(sorted(RESERVED_OWNERS))}: acts without a key are audited under these"
        raise ValueError(message)
    return value


Owner = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._@-]{0,63}$"), AfterValidator(_not_reserved)]


class ApiKey(Model):
    """A key as it may be shown: never its secret."""

    key_id: str
    owner: str
    role: Role
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None
    revoked_by: str | None = None
