"""Scripts of external calls: what happens in the network, the external system and the worker.

The time of a settlement is counted in calls: call n happens at time n. Delayed messages arrive between two calls, or
after the last one. Finer times are not needed, because only calls change the books.
"""

from enum import StrEnum
from typing import NamedTuple

from connector.exchange import REPLY_BYTES_MAX, Reply
from settlement.code_meanings import CodeMeaning
from simulator import replies
from simulator.faults import ReplyMode
from simulator.payloads import RETRY_AFTER_S, payload_of
from simulator.replies import (
    CODE_IN_PROCESS,
    CODE_OWN_NEVER_RECEIVED,
    CODE_OWN_NOT_APPLIED,
    CODE_OWN_REVERSED,
    CODE_REFUSED_FOR_GOOD,
    Result,
    reply_body,
)


class Answer(StrEnum):
    """The reply to a request that arrived at once. The first three are readable."""

    GOOD = "GOOD"
    """The real reply of the external system."""
    WRONG_CODE = "WRONG_CODE"
    """A failure code; the request had no effect."""
    DENIED = "DENIED"
    """A failure code although the request had its effect: a false reply to an adjust."""
    LOST = "LOST"
    """The request arrives; the reply does not."""
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
    """The reply arrives twice, one copy after the other."""
    CROSSED = "CROSSED"
    """Instead of the reply, the success reply of another call arrives."""
    NOT_SENT = "NOT_SENT"
    """No connection: nothing was sent."""
    NOT_CONFIGURED = "NOT_CONFIGURED"
    """The worker's configuration lacks the external system: nothing was sent, and a cancel waits."""

    OWN_CODE = "OWN_CODE"
    """The real result of a cancel, under a code that the configuration declares."""
    IN_PROCESS = "IN_PROCESS"
    """A code that the configuration declares as still in process; the request had no effect."""
    REFUSED_FOR_GOOD = "REFUSED_FOR_GOOD"
    """A code that the configuration declares as refused for good; the request had no effect."""
    BUSINESS_STATUS = "BUSINESS_STATUS"
    """The real reply, under an HTTP status that the configuration declares as a business status."""
    RETRY_AFTER = "RETRY_AFTER"
    """HTTP 429 with a `Retry-After`; the request had no effect."""
    NOT_FOUND = "NOT_FOUND"
    """A false "not applied" to a cancel, whatever the request did."""


DECLARED: dict[Answer, ReplyMode] = {
    Answer.OWN_CODE: ReplyMode.OWN_CODE,
    Answer.IN_PROCESS: ReplyMode.IN_PROCESS,
    Answer.REFUSED_FOR_GOOD: ReplyMode.REFUSED_FOR_GOOD,
    Answer.BUSINESS_STATUS: ReplyMode.HTTP_409,
    Answer.RETRY_AFTER: ReplyMode.HTTP_429,
}
"""Replies that the configuration of the external system declares or bounds, as reply modes of the simulator."""
WITHOUT_EFFECT = frozenset({Answer.WRONG_CODE, Answer.IN_PROCESS, Answer.REFUSED_FOR_GOOD, Answer.RETRY_AFTER})
"""Answers to requests that did not change the books."""
CODES = {
    CODE_OWN_REVERSED: CodeMeaning.REVERSED,
    CODE_OWN_NOT_APPLIED: CodeMeaning.NOT_APPLIED,
    CODE_OWN_NEVER_RECEIVED: CodeMeaning.NEVER_RECEIVED,
    CODE_IN_PROCESS: CodeMeaning.IN_PROCESS,
    CODE_REFUSED_FOR_GOOD: CodeMeaning.REFUSED,
}
BUSINESS_STATUSES = frozenset({409})
"""What the configuration of the simulated external system declares."""

BROKEN: dict[Answer, ReplyMode] = {
    Answer.HTTP_500: ReplyMode.HTTP_500,
    Answer.REDIRECT: ReplyMode.REDIRECT,
    Answer.NOT_JSON: ReplyMode.NOT_JSON,
    Answer.HTML_PAGE: ReplyMode.HTML_PAGE,
    Answer.CONTRADICTORY: ReplyMode.CONTRADICTORY,
    Answer.WRONG_TYPE: ReplyMode.WRONG_TYPE,
    Answer.OVERSIZED: ReplyMode.OVERSIZED,
}
"""Replies that arrive but cannot be trusted, as reply modes of the simulator."""


class Crash(StrEnum):
    """When the worker that makes the call crashes."""

    NONE = "NONE"
    BEFORE_SEND = "BEFORE_SEND"
    """The worker has the task, but has sent nothing."""
    AFTER_SEND = "AFTER_SEND"
    """The request was sent, no reply was received; the heartbeat before the call reached Temporal."""
    UNHEARD = "UNHEARD"
    """As AFTER_SEND, but the heartbeat before the call did not reach Temporal."""
    AFTER_REPLY = "AFTER_REPLY"
    """The reply was received, but not reported."""


REPEATED = (Answer.DOUBLED, Answer.CROSSED)
"""Replies that arrive once too often: repeated, or in place of another reply."""

OTHER_TRACE = "trace-of-another-call"

AT_ONCE = (0.0,)
NEVER: tuple[float, ...] = ()
TWICE = (0.0, 0.5)


class CallScript(NamedTuple):
    """The script of one call."""

    arrives: tuple[float, ...] = AT_ONCE
    """Arrival time of each copy of the request, in calls after this one; 0: at once; empty: lost."""
    answer: Answer = Answer.GOOD
    crash: Crash = Crash.NONE

    @property
    def at_once(self) -> bool:
        """Return whether a copy arrives in time to be answered."""
        return 0.0 in self.arrives

    def in_words(self) -> str:
        """Describe the script in a few words."""
        copies = ", ".join("at once" if after == 0 else f"{after:g} calls later" for after in self.arrives) or "lost"
        crash = f", crash {self.crash}" if self.crash is not Crash.NONE else ""
        return f"{copies}: {self.answer}{crash}"


HONEST = CallScript()
LOST = CallScript(arrives=NEVER)


def reply_of(result: Result, answer: Answer, *, trace: str = "t", received_ns: int = 0) -> Reply:
    """Return the bytes that the connector receives for a result."""
    given = replies.FAILED if answer in {Answer.DENIED, Answer.WRONG_CODE} else result
    if answer is Answer.CROSSED:
        given, trace = replies.APPLIED, OTHER_TRACE
    if answer is Answer.NOT_FOUND:
        given = replies.NOT_APPLIED
    mode = (BROKEN | DECLARED).get(answer, ReplyMode.PLAIN)
    payload = payload_of(mode, reply_body(given, trace=trace, received_ns=received_ns))
    content = payload.content * (2 if answer is Answer.DOUBLED else 1)
    wait_s = RETRY_AFTER_S if answer is Answer.RETRY_AFTER else None
    oversized = len(content) > REPLY_BYTES_MAX
    return Reply(payload.status, content[:REPLY_BYTES_MAX], oversized=oversized, retry_after_s=wait_s)
