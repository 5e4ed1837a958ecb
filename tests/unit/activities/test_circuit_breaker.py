"""The circuit breaker opens after consecutive UNKNOWN outcomes, lets one probe at a time through, and few cancels."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from activities.circuit_breaker import BreakerPolicy, CircuitBreaker, Permit
from settlement.circuit_breaker import BreakerState
from settlement.states import Outcome

POLICY = BreakerPolicy(unknowns=3, open_s=30, cancels_per_min=6)
ANSWERS = (Outcome.APPLIED, Outcome.REJECTED)


@dataclass
class Clock:
    """A clock that only the test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Bench:
    """A breaker with its clock, and the states that it has entered."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.changes = 0
        self.breaker = CircuitBreaker(POLICY, self.clock, self._note)

    def _note(self) -> None:
        self.changes += 1

    def state(self) -> BreakerState:
        """Return the current state."""
        return self.breaker.report().state

    def permit(self, *, is_cancel: bool = False) -> Permit:
        """Return the permit for one call, which must be given."""
        permit = self.breaker.permit(is_cancel=is_cancel)
        assert permit is not None
        return permit

    def call(self, outcome: Outcome | None, *, is_cancel: bool = False) -> None:
        """Make one call."""
        self.breaker.ended(self.permit(is_cancel=is_cancel), outcome)

    def refuses(self, *, is_cancel: bool = False) -> bool:
        """Return whether a call is refused."""
        return self.breaker.permit(is_cancel=is_cancel) is None

    def open(self) -> None:
        """Open a closed breaker."""
        for _ in range(POLICY.unknowns):
            self.call(Outcome.UNKNOWN)
        assert self.state() is BreakerState.OPEN

    def half_open(self) -> None:
        """Open a closed breaker, and let its time pass."""
        self.open()
        self.clock.now += POLICY.open_s
        assert self.state() is BreakerState.HALF_OPEN


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_it_opens_after_consecutive_unknowns_of_adjusts_and_cancels(bench: Bench) -> None:
    for is_cancel in (False, True):
        bench.call(Outcome.UNKNOWN, is_cancel=is_cancel)
        assert bench.state() is BreakerState.CLOSED
    bench.call(Outcome.UNKNOWN)
    assert bench.state() is BreakerState.OPEN
    assert bench.refuses()


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("is_cancel", [False, True])
def test_a_correct_reply_starts_the_count_again(bench: Bench, answer: Outcome, *, is_cancel: bool) -> None:
    for outcome in (Outcome.UNKNOWN, Outcome.UNKNOWN, answer, Outcome.UNKNOWN, Outcome.UNKNOWN):
        bench.call(outcome, is_cancel=is_cancel)
    assert bench.state() is BreakerState.CLOSED


def test_a_call_that_was_not_sent_neither_counts_nor_starts_the_count_again(bench: Bench) -> None:
    for outcome in (Outcome.UNKNOWN, Outcome.NOT_SENT, None, Outcome.UNKNOWN, Outcome.NOT_SENT):
        bench.call(outcome)
    assert bench.state() is BreakerState.CLOSED
    bench.call(Outcome.UNKNOWN)
    assert bench.state() is BreakerState.OPEN


def test_calls_in_flight_when_it_opens_do_not_count_afterwards(bench: Bench) -> None:
    in_flight = [bench.permit() for _ in range(10)]
    bench.open()
    for permit in in_flight[:5]:
        bench.breaker.ended(permit, Outcome.APPLIED)
    assert bench.state() is BreakerState.OPEN
    bench.clock.now += POLICY.open_s
    assert bench.state() is BreakerState.HALF_OPEN
    for permit in in_flight[5:]:
        bench.breaker.ended(permit, Outcome.UNKNOWN)
    assert bench.state() is BreakerState.HALF_OPEN


def test_after_its_time_one_probe_at_a_time_is_sent(bench: Bench) -> None:
    bench.half_open()
    probe = bench.permit()
    assert bench.refuses()
    assert not bench.refuses(is_cancel=True), "the low rate of cancels is beside the probe"
    assert bench.refuses(is_cancel=True)
    bench.breaker.ended(probe, Outcome.REJECTED)
    assert bench.state() is BreakerState.CLOSED
    assert not bench.refuses()


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.NOT_SENT])
def test_a_probe_without_a_reply_opens_it_for_the_whole_time(bench: Bench, outcome: Outcome) -> None:
    bench.half_open()
    bench.call(outcome)
    bench.clock.now += POLICY.open_s - 0.1
    assert bench.state() is BreakerState.OPEN
    assert bench.refuses()
    bench.clock.now += 0.1
    bench.call(Outcome.APPLIED)
    assert bench.state() is BreakerState.CLOSED


def test_a_probe_that_was_not_made_leaves_the_place_to_the_next_one(bench: Bench) -> None:
    bench.half_open()
    bench.call(None)
    assert bench.state() is BreakerState.HALF_OPEN
    bench.call(Outcome.APPLIED, is_cancel=True)
    assert bench.state() is BreakerState.CLOSED


def test_while_it_is_open_cancels_are_sent_at_a_low_rate(bench: Bench) -> None:
    bench.open()
    assert bench.refuses(is_cancel=True)
    sent = 0
    for _ in range(29):
        bench.clock.now += 1
        assert bench.refuses()
        if (permit := bench.breaker.permit(is_cancel=True)) is not None:
            bench.breaker.ended(permit, Outcome.UNKNOWN)
            sent += 1
    assert sent == 2, "6 per minute for 29 s"


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_cancel_with_a_correct_reply_makes_an_open_one_half_open_before_its_time(
    bench: Bench, answer: Outcome
) -> None:
    """The system works, but one probe must confirm it: it may answer cancels and no adjusts."""
    bench.open()
    bench.clock.now += 10
    bench.call(answer, is_cancel=True)
    assert bench.state() is BreakerState.HALF_OPEN
    bench.call(Outcome.UNKNOWN)
    assert bench.state() is BreakerState.OPEN


def test_another_policy_keeps_the_state_and_the_count(bench: Bench) -> None:
    bench.call(Outcome.UNKNOWN)
    bench.breaker.policy = replace(POLICY, unknowns=2, open_s=60)
    bench.call(Outcome.UNKNOWN)
    assert bench.state() is BreakerState.OPEN
    bench.clock.now += 30
    assert bench.state() is BreakerState.OPEN
    bench.breaker.policy = POLICY
    assert bench.state() is BreakerState.HALF_OPEN


def test_every_change_is_announced_once(bench: Bench) -> None:
    bench.half_open()
    bench.call(Outcome.APPLIED)
    assert bench.changes == 3


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: never two probes, no adjust while it is open, and it can always close."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.in_flight: list[tuple[Permit, bool]] = []

    @rule(is_cancel=st.booleans())
    def begin(self, *, is_cancel: bool) -> None:
        """Ask for a permit."""
        before = self.bench.state()
        permit = self.bench.breaker.permit(is_cancel=is_cancel)
        if permit is None:
            assert before is not BreakerState.CLOSED
            return
        assert is_cancel or before is not BreakerState.OPEN
        self.in_flight.append((permit, is_cancel))

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), outcome=st.sampled_from([*Outcome, None]))
    def end(self, data: st.DataObject, outcome: Outcome | None) -> None:
        """End one of the calls in flight."""
        index = data.draw(st.integers(0, len(self.in_flight) - 1))
        permit, _ = self.in_flight.pop(index)
        self.bench.breaker.ended(permit, outcome)

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.bench.clock.now += seconds

    @invariant()
    def at_most_one_probe_of_the_current_state(self) -> None:
        """Of a half-open breaker at most one adjust is in flight."""
        if self.bench.state() is BreakerState.HALF_OPEN:
            adjusts = [p for p, is_cancel in self.in_flight if not is_cancel and self.is_current(p)]
            assert len(adjusts) <= 1

    def is_current(self, permit: Permit) -> bool:
        """Return whether a permit is of the current state."""
        return permit.entered == self.bench.changes

    def teardown(self) -> None:
        """End all calls: after its time, one answered probe closes the breaker."""
        while self.in_flight:
            self.bench.breaker.ended(self.in_flight.pop()[0], None)
        self.bench.clock.now += POLICY.open_s
        self.bench.call(Outcome.APPLIED)
        assert self.bench.state() is BreakerState.CLOSED


TestAnyOrder = AnyOrder.TestCase
