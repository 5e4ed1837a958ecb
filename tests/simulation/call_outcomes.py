"""What can befall one external call: the network, the external system and the worker, each in its own words.

Time inside one settlement is counted in calls: call n happens at time n, and what is delayed lands between
two calls, or after the last one. Nothing else could tell two moments apart: only calls change the books.
"""

from enum import StrEnum
from typing import NamedTuple

from simulator.faults import ReplyMode


class Answer(StrEnum):
    """How the reply comes back, if the request arrived at once. The first three come back readable."""

    GOOD = "GOOD"
    """As the external system gave it."""
    WRONG_CODE = "WRONG_CODE"
    """A failure code, and nothing was carried out."""
    DENIED = "DENIED"
    """A failure code although it was carried out: an external system that lies about an adjust."""
    LOST = "LOST"
    """The request arrived, the reply never does."""
    LATE = "LATE"
    """After the deadline."""
    HTTP_500 = "HTTP_500"
    REDIRECT = "REDIRECT"
    NOT_JSON = "NOT_JSON"
    HTML_PAGE = "HTML_PAGE"
    CONTRADICTORY = "CONTRADICTORY"
    WRONG_TYPE = "WRONG_TYPE"
    OVERSIZED = "OVERSIZED"
    DOUBLED = "DOUBLED"
    """The reply comes twice, one copy behind the other."""
    CROSSED = "CROSSED"
    """Instead of its own, a success that was another call's reply."""
    NOT_SENT = "NOT_SENT"
    """No connection: certainly nothing was sent."""


BROKEN: dict[Answer, ReplyMode] = {
    Answer.HTTP_500: ReplyMode.HTTP_500,
    Answer.REDIRECT: ReplyMode.REDIRECT,
    Answer.NOT_JSON: ReplyMode.NOT_JSON,
    Answer.HTML_PAGE: ReplyMode.HTML_PAGE,
    Answer.CONTRADICTORY: ReplyMode.CONTRADICTORY,
    Answer.WRONG_TYPE: ReplyMode.WRONG_TYPE,
    Answer.OVERSIZED: ReplyMode.OVERSIZED,
}
"""Replies that arrive and cannot be trusted, as reply modes of the simulator."""


class Crash(StrEnum):
    """When the worker that makes the call dies, if it does."""

    NONE = "NONE"
    BEFORE_SEND = "BEFORE_SEND"
    """With the task in hand, nothing sent."""
    AFTER_SEND = "AFTER_SEND"
    """The request is out, the reply not in; what the worker said before the call reached Temporal."""
    UNHEARD = "UNHEARD"
    """As AFTER_SEND, and not even the heartbeat before the call got through: Temporal was away as well."""
    AFTER_REPLY = "AFTER_REPLY"
    """The reply is in, and not reported."""


REPEATED = (Answer.DOUBLED, Answer.CROSSED)
"""Replies that come once too often: behind themselves, or in another's place."""

AT_ONCE = (0.0,)
NEVER: tuple[float, ...] = ()
TWICE = (0.0, 0.5)


class Fate(NamedTuple):
    """All that befalls one call."""

    arrives: tuple[float, ...] = AT_ONCE
    """When each copy that the network makes arrives, in calls after this one; 0: at once; empty: lost."""
    answer: Answer = Answer.GOOD
    crash: Crash = Crash.NONE

    @property
    def at_once(self) -> bool:
        """Tell whether a copy arrives in time to be answered."""
        return 0.0 in self.arrives

    def in_words(self) -> str:
        """Say what befalls it, in a few words."""
        copies = ", ".join("at once" if after == 0 else f"{after:g} calls later" for after in self.arrives) or "lost"
        crash = f", crash {self.crash}" if self.crash is not Crash.NONE else ""
        return f"{copies}: {self.answer}{crash}"


HONEST = Fate()
LOST = Fate(arrives=NEVER)
