"""API keys of clients: roles, and the permissions that the API's routes require."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from contract.model import Model
from settlement.scope import Companies, Scope, scope_of


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
    READ_SECURITY_EVENTS = "READ_SECURITY_EVENTS"
    """Read who made and revoked keys, paused systems, changed limits and ran batches."""


class Role(StrEnum):
    """Role of an API key. Each key has one role; `PERMISSIONS` lists what each role may do."""

    PLATFORM = "platform"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.PLATFORM: frozenset({Permission.SUBMIT, Permission.READ}),
    Role.VIEWER: frozenset({Permission.READ}),
    Role.OPERATOR: frozenset({Permission.READ, Permission.ACT, Permission.READ_SECURITY_EVENTS}),
    # Nothing with money: the key that grants rights must not be able to move it.
    Role.ADMIN: frozenset({Permission.MANAGE_KEYS, Permission.READ_SECURITY_EVENTS}),
}

ACTIVE_KEYS_MAX = 20
"""Maximum number of active keys of one client. An expired key counts until it is revoked."""

RESERVED_CLIENTS = frozenset({"local", "temporal", "temporal-ui", "reconciliation", "first-key"})
"""Names that the audit uses for actions without an API key. A client with such a name would make them ambiguous."""


def _not_reserved(value: str) -> str:
    if value in RESERVED_CLIENTS:
        names = ", ".join(sorted(RESERVED_CLIENTS))
        message = f"must not be one of {names}: the audit uses these names for actions without a key"
        raise ValueError(message)
    return value


ClientName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._@-]{0,63}$"), AfterValidator(_not_reserved)]


class ApiKey(Model):
    """An API key without its secret."""

    key_id: str
    client: str
    role: Role
    companies: Companies
    """The scope: the companies that the key may submit for, read and act on; or `all`."""
    expires_at: datetime | None = None
    """From this time on the key is rejected; null if it does not expire."""
    created_at: datetime
    created_by: str
    last_used_at: datetime | None = None
    """When the key was last accepted, at most one minute old; null if it was never used."""
    revoked_at: datetime | None = None
    revoked_by: str | None = None

    @property
    def scope(self) -> Scope:
        """The scope of the key."""
        return scope_of(self.companies)

    def is_active(self, now: datetime) -> bool:
        """Return whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
