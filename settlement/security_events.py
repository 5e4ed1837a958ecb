"""Security events: who made or revoked a key, paused a system, changed limits or ran a batch, and refused keys."""

from datetime import datetime
from enum import StrEnum

from contract.model import Model

SECURITY_EVENT_PAGE_MAX = 200


class SecurityEventKind(StrEnum):
    """What happened."""

    KEY_CREATED = "KEY_CREATED"
    KEY_REVOKED = "KEY_REVOKED"
    KEYS_REFUSED = "KEYS_REFUSED"
    """Requests without a valid key, counted. Each API process writes at most one such event per minute."""
    SYSTEM_PAUSED = "SYSTEM_PAUSED"
    SYSTEM_RESUMED = "SYSTEM_RESUMED"
    LIMITS_CHANGED = "LIMITS_CHANGED"
    """An API process uses other order limits, batch sums or four-eyes amounts than the last recorded ones."""
    BATCH_STARTED = "BATCH_STARTED"
    BATCH_STOPPED = "BATCH_STOPPED"


class SecurityEvent(Model):
    """One security event. Events are never changed or deleted."""

    event_id: int
    kind: SecurityEventKind
    at: datetime
    client: str | None
    """Who acted: the client of the API key, or `first-key`; null if nobody is known."""
    key_id: str | None
    """The key that was used; null if there was none."""
    subject: str
    """What it is about: the id of a key or a batch, the name of an external system, or the hash of limits."""
    detail: str


class SecurityEventPage(Model):
    """One page of security events, newest first."""

    items: tuple[SecurityEvent, ...]
    next_before: int | None
    """The parameter `before` of the next page; null on the last page."""
