"""External systems as settlements and operators name them, and the operators' pauses."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from contract.model import Model
from settlement.calls import Rule
from settlement.limits import SYSTEM_WAIT_MAX_S
from settlement.operator_rules import Note

WAITING = "waiting: "
"""Begins the reason of a settlement whose cancel waits without using up an attempt."""


class _Wait(NamedTuple):
    """How a cancel waits that cannot be sent now."""

    reason: str
    first_s: float
    """Longest first wait; doubled before each next one up to `SYSTEM_WAIT_MAX_S`."""


_WAITS: dict[Rule, _Wait] = {
    Rule.NOT_CONFIGURED: _Wait("external system {} is not configured, or a secret of it is missing", 5.0),
    Rule.BREAKER_OPEN: _Wait("the circuit breaker of external system {} is open", 1.0),
    Rule.IN_FLIGHT_LIMIT: _Wait("external system {} has its maximum number of calls in flight", 1.0),
    Rule.RATE_LIMIT: _Wait("external system {} gets its maximum number of calls per second", 1.0),
}
"""By the rule by which the cancel is not sent. It waits, and uses up no attempt."""


def waiting_reason(name: str, rule: Rule) -> str:
    """Return the reason of a settlement whose cancel waits because its external system cannot be called now."""
    return f"{WAITING}{_WAITS[rule].reason.format(name)}"


def waits_for(name: str, reason: str) -> Rule | None:
    """Return the rule by which the cancel of a settlement with this reason waits; None if it does not wait."""
    return next((rule for rule in _WAITS if waiting_reason(name, rule) == reason), None)


def longest_wait_s(rule: Rule, waits: int) -> float:
    """Return the longest duration of the next wait, in seconds, after `waits` waits of the same cancel.

    The wait takes a random part of it, at least half. Otherwise cancels that were refused together would come again
    together, and exceed the same limit again.
    """
    return min(_WAITS[rule].first_s * (1 << min(waits, 10)), SYSTEM_WAIT_MAX_S)


class SystemActionKind(StrEnum):
    """An operator action on an external system."""

    PAUSE = "PAUSE"
    """New orders of the system are refused; its open settlements continue."""
    RESUME = "RESUME"


class SystemActionRequest(BaseModel):
    """Body of a request to pause or resume an external system: why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    note: Note


class SystemPause(Model):
    """The pause of an external system that is in force: who paused it, when and why."""

    operator: str
    """The client of the operator's key."""
    key_id: str | None
    """Id of that key; None if the API requires no keys."""
    note: str
    at: datetime


class SystemAction(SystemPause):
    """One operator action on an external system in the audit."""

    kind: SystemActionKind
