"""External systems as settlements and operators name them, and the operators' pauses."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from contract.model import Model
from settlement.operator_rules import Note

WAITING = "waiting: "
"""Begins the reason of a settlement whose cancel waits without using up an attempt."""


def waiting_reason(name: str) -> str:
    """Return the reason of a settlement whose cancel waits for the configuration of its external system."""
    return f"{WAITING}external system {name} is not configured, or a secret of it is missing"


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
