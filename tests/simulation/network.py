"""What the bytes of an answer look like on our side of the network, in every reply mode."""

from connector.exchange import REPLY_BYTES_MAX, Reply
from simulator import replies
from simulator.faults import ReplyMode
from simulator.payloads import payload_of
from simulator.replies import Result, reply_body
from tests.simulation.call_outcomes import BROKEN, Answer

ANOTHERS_TRACE = "trace-of-another-call"


def reply_of(result: Result, answer: Answer, *, trace: str = "t", received_ns: int = 0) -> Reply:
    """Return what the connector reads if a result comes back as this answer."""
    given = replies.FAILED if answer in {Answer.DENIED, Answer.WRONG_CODE} else result
    if answer is Answer.CROSSED:
        given, trace = replies.APPLIED, ANOTHERS_TRACE
    payload = payload_of(BROKEN.get(answer, ReplyMode.PLAIN), reply_body(given, trace=trace, received_ns=received_ns))
    content = payload.content * (2 if answer is Answer.DOUBLED else 1)
    return Reply(payload.status, content[:REPLY_BYTES_MAX], oversized=len(content) > REPLY_BYTES_MAX)
