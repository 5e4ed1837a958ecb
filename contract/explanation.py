"""A settlement's timeline in plain language: what was sent, what came back, by which rule, and what happens next."""

from datetime import datetime

from contract.model import Model
from contract.states import Decision, State


class TimelineEntry(Model):
    """One thing that happened."""

    at: datetime
    text: str


class NextStep(Model):
    """What happens next, by itself or by a person's hand."""

    text: str
    who: str
    """`nobody`, `automation` or `operator`."""
    at: datetime | None = None
    """When it is due by itself, at the latest; null where that is not known or nothing is due."""
    commands: tuple[str, ...] = ()
    """What an operator can do, as commands of the CLI."""


class Explanation(Model):
    """The whole story of one settlement."""

    request_unique_no: str
    state: State
    decision: Decision | None
    headline: str
    money: str
    """What the present state means for the money, in one sentence."""
    timeline: tuple[TimelineEntry, ...]
    next: NextStep
    temporal_ui_url: str | None
