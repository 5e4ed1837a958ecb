"""An independent model of what may be true of a settlement, from nothing but what our side was told.

It knows no workflow code. It reads, attempt by attempt, what reached Temporal, and says which ends are possible.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

from settlement.calls import CallRecord
from settlement.ids import CancelKind
from settlement.policy import SettlementPolicy
from settlement.states import CancelResult, Outcome, State
from tests.simulation.evidence import Story
from tests.simulation.plan import Plan

End = tuple[State, CancelResult | None]
EXPIRED: End = (State.EXPIRED, None)
WAITS_OR_CLOSED: frozenset[End] = frozenset({(State.ABORTED, None), (State.RESOLVED, None)})


@dataclass
class Report:
    """What one attempt at an external call told our side."""

    kind: CancelKind | None
    """Which cancel; None for the adjust."""
    round: int
    record: CallRecord | None = None
    """None: its worker died first."""
    run: str = ""
    """Which of the settlement's workflows wanted it."""

    @property
    def activity(self) -> tuple[CancelKind | None, int]:
        """Which activity of its workflow it was an attempt of."""
        return self.kind, self.round

    @property
    def outcome(self) -> Outcome:
        """What our side can know of it."""
        return Outcome.UNKNOWN if self.record is None else self.record.verdict.outcome

    @property
    def cancel_result(self) -> CancelResult | None:
        """The correct reply to a cancel, if it was told one."""
        return None if self.record is None else self.record.cancel_result


def contradictions(
    told: Sequence[Report], story: Story, plan: Plan, *, stopped_early: bool, lost_runs: Sequence[str] = ()
) -> Iterator[str]:
    """Name what a settlement's story says against what it was told."""
    policy = plan.policy
    end = (story.state, story.cancel_result)
    possible = frozenset(
        each for heard in _heard(told, lost_runs) for each in _ends(heard, plan, stopped_early=stopped_early)
    )
    if end not in possible:
        yield f"it ended {end}; what it was told allows {sorted(map(str, possible))}"
    for (kind, round_), attempts in groupby((each for each in told if each.kind), key=lambda each: each.activity):
        made = len(list(attempts))
        if made > policy.cancel_max_attempts:
            yield f"{made} attempts at the {kind} cancel in round {round_}"


def _heard(told: Sequence[Report], lost_runs: Sequence[str]) -> Iterator[list[Report]]:
    """Yield what may have been heard of all that was told.

    A workflow that was ended from outside may or may not have heard of its last activity; and nobody can tell
    that it has not sent an adjust.
    """
    by_activity = {run: [each.activity for each in told if each.run == run] for run in lost_runs}
    doubtful = [(run, activities[-1]) for run, activities in by_activity.items() if activities]
    for count in range(len(doubtful) + 1):
        for unheard in combinations(doubtful, count):
            cancels = [each for each in told if each.kind and (each.run, each.activity) not in unheard]
            adjusts = [
                Report(None, 0) if (each.run, each.activity) in unheard else each for each in told if each.kind is None
            ]
            yield [*adjusts, *cancels]
            if lost_runs and not adjusts:
                yield [Report(None, 0), *cancels]


def _ends(told: Sequence[Report], plan: Plan, *, stopped_early: bool) -> Iterator[End]:
    if not told:
        if plan.stale or stopped_early:
            yield EXPIRED
        return
    adjust, *cancels = told
    if adjust.outcome is Outcome.NOT_SENT:
        yield EXPIRED
    elif adjust.outcome is Outcome.APPLIED and not cancels:
        yield State.SETTLED, None
    elif adjust.outcome is not Outcome.APPLIED or stopped_early:
        yield from _compensated(adjust.outcome, cancels, plan.policy)


def _compensated(adjust: Outcome, cancels: Sequence[Report], policy: SettlementPolicy) -> Iterator[End]:
    if not cancels:
        return
    last = cancels[-1]
    result = last.cancel_result
    if result is None:
        if _round_used_up(cancels, policy):
            yield from WAITS_OR_CLOSED
    elif (
        last.kind is CancelKind.CONFIRMING
        or result is CancelResult.REVERSED
        or adjust is Outcome.REJECTED
        or policy.confirm_after_s == 0
    ):
        yield State.CANCELLED, result


def _round_used_up(cancels: Sequence[Report], policy: SettlementPolicy) -> bool:
    last = cancels[-1]
    return sum(each.activity == last.activity for each in cancels) == policy.cancel_max_attempts
