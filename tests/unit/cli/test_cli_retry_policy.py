"""The retry policy: an outage is retried for a limited time from its start, with pauses that grow up to a limit."""

import pytest

from cli import retry_policy
from cli.api import RETRY_AFTER_MAX_S
from cli.exits import NoAnswerError
from cli.retry_policy import OUTAGE_MAX_S, RetryPolicy

AWAY = NoAnswerError("away")


class Clock:
    """A clock that advances only by `sleep`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        """Return the current time."""
        return self.now

    def sleep(self, pause_s: float) -> None:
        """Advance the clock."""
        self.now += pause_s
        self.pauses.append(pause_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake_clock = Clock()
    monkeypatch.setattr(retry_policy, "time", fake_clock)
    return fake_clock


def test_an_outage_is_retried_until_its_limit_and_then_raised(clock: Clock) -> None:
    messages: list[str] = []

    def ask() -> str:
        raise AWAY

    with pytest.raises(NoAnswerError):
        RetryPolicy(messages.append).call(ask)
    assert OUTAGE_MAX_S <= clock.now < OUTAGE_MAX_S + 11
    assert clock.pauses == sorted(clock.pauses)
    assert max(clock.pauses) <= 10
    assert messages == ["away; will retry"]


def test_an_answer_ends_the_outage(clock: Clock) -> None:
    """Two outages, each nearly too long, are counted separately."""
    policy = RetryPolicy(lambda _: None)
    for _ in range(2):
        before = clock.now
        while clock.now - before < OUTAGE_MAX_S - 11:
            policy.wait_or_raise(AWAY)
        assert policy.call(lambda: "here") == "here"
    policy.wait_or_raise(AWAY)
    assert clock.pauses[-1] == clock.pauses[0]


def test_the_pause_that_the_api_asks_for_is_kept(clock: Clock) -> None:
    RetryPolicy(lambda _: None).wait_or_raise(NoAnswerError("away", retry_after_s=7))
    assert clock.pauses == [7]


def test_a_requested_pause_above_the_limit_raises_immediately(clock: Clock) -> None:
    with pytest.raises(NoAnswerError):
        RetryPolicy(lambda _: None).wait_or_raise(NoAnswerError("away", retry_after_s=RETRY_AFTER_MAX_S + 1))
    assert clock.pauses == []


def test_pauses_grow_while_there_is_no_new_data(clock: Clock) -> None:
    """A stream that the API ends repeatedly is not an outage; it is opened again with growing pauses."""
    policy = RetryPolicy(lambda _: None)
    for _ in range(50):
        policy.end_outage()
        policy.pause()
    assert clock.pauses[-1] == 10
    assert clock.pauses == sorted(clock.pauses)
