"""An outage is borne for a bounded time, counted from its beginning, with pauses that grow to a bound."""

import pytest

from cli import retry_policy
from cli.api import RETRY_AFTER_MAX_S
from cli.exits import NoAnswerError
from cli.retry_policy import LOST_MAX_S, RetryPolicy

AWAY = NoAnswerError("away")


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, pause_s: float) -> None:
        """Let time pass."""
        self.now += pause_s
        self.pauses.append(pause_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(retry_policy, "time", made)
    return made


def test_an_outage_is_borne_until_the_limit_and_then_told(clock: Clock) -> None:
    said: list[str] = []

    def ask() -> str:
        raise AWAY

    with pytest.raises(NoAnswerError):
        RetryPolicy(said.append).call(ask)
    assert LOST_MAX_S <= clock.now < LOST_MAX_S + 11
    assert clock.pauses == sorted(clock.pauses)
    assert max(clock.pauses) <= 10
    assert said == ["away; trying again"]


def test_an_answer_ends_the_outage(clock: Clock) -> None:
    """Two outages, each nearly too long, are not one."""
    borne = RetryPolicy(lambda _: None)
    for _ in range(2):
        before = clock.now
        while clock.now - before < LOST_MAX_S - 11:
            borne.wait_or_raise(AWAY)
        assert borne.call(lambda: "here") == "here"
    borne.wait_or_raise(AWAY)
    assert clock.pauses[-1] == clock.pauses[0]


def test_the_api_is_left_alone_for_as_long_as_it_asks(clock: Clock) -> None:
    RetryPolicy(lambda _: None).wait_or_raise(NoAnswerError("away", retry_after_s=7))
    assert clock.pauses == [7]


def test_a_pause_beyond_the_limit_ends_the_waiting(clock: Clock) -> None:
    with pytest.raises(NoAnswerError):
        RetryPolicy(lambda _: None).wait_or_raise(NoAnswerError("away", retry_after_s=RETRY_AFTER_MAX_S + 1))
    assert clock.pauses == []


def test_nothing_new_is_asked_for_less_and_less_often(clock: Clock) -> None:
    """A stream that the API ends again and again is no outage, and no reason to hurry."""
    borne = RetryPolicy(lambda _: None)
    for _ in range(50):
        borne.reached()
        borne.pause()
    assert clock.pauses[-1] == 10
    assert clock.pauses == sorted(clock.pauses)
