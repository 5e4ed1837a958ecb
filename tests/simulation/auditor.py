"""An independent model: which end states are possible, given only the reports of the attempts.

It uses no workflow code. It reads what each attempt reported to Temporal, and returns the possible end states.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

from settlement.calls import CallRecord, Rule
from settlement.ids import CancelKind
from settlement.policy import ConfirmMode, SettlementPolicy, attempts_of_round
from settlement.states import CancelResult, Outcome, State
from tests.simulation.evidence import SettlementView
from tests.simulation.plan import Plan

End = tuple[State, CancelResult | None]
EXPIRED: End = (State.EXPIRED, None)
WAITS_OR_CLOSED: frozenset[End] = frozenset({(State.ABORTED, None), (State.RESOLVED, None)})


@dataclass
class AttemptReport:
    """What one attempt of an external call reported to Temporal."""

    kind: CancelKind | None
    """Which cancel; None for the adjust."""
    round: int
    record: CallRecord | None = None
    """None: its worker crashed before it reported."""
    run: str = ""
    """The workflow run of the attempt."""

    @property
    def activity(self) -> tuple[CancelKind | None, int]:
        """The activity that the attempt belongs to."""
        return self.kind, self.round

    @property
    def outcome(self) -> Outcome:
        """The outcome, as far as our side can know it."""
        return Outcome.UNKNOWN if self.record is None else self.record.verdict.outcome

    @property
    def uses_an_attempt(self) -> bool:
        """Whether it uses up an attempt of its round."""
        return self.record is None or self.record.verdict.rule is not Rule.CODE_MEANS_IN_PROCESS

    @property
    def is_refusal(self) -> bool:
        """Whether the broker refused the cancel for good."""
        return self.record is not None and self.record.verdict.rule is Rule.CODE_MEANS_REFUSED

    @property
    def cancel_result(self) -> CancelResult | None:
        """The cancel result of a correct reply, if there was one."""
        return None if self.record is None else self.record.cancel_result


def contradictions(
    reports: Sequence[AttemptReport],
    view: SettlementView,
    plan: Plan,
    *,
    stopped_early: bool,
    lost_runs: Sequence[str] = (),
) -> Iterator[str]:
    """Yield each contradiction between the view of a settlement and its reports."""
    policy = plan.policy
    end = (view.state, view.cancel_result)
    possible = frozenset(
        each for heard in _heard(reports, lost_runs) for each in _ends(heard, plan, stopped_early=stopped_early)
    )
    if end not in possible:
        yield f"it ended {end}; its reports allow {sorted(map(str, possible))}"
    for (kind, round_), attempts in groupby((each for each in reports if each.kind), key=lambda each: each.activity):
        reported = list(attempts)
        in_process = sum(not each.uses_an_attempt for each in reported)
        if len(reported) - in_process > attempts_of_round(policy) or in_process > policy.cancel_in_process_max:
            yield f"{len(reported)} calls at the {kind} cancel in round {round_}, {in_process} of them in process"
        if any(each.is_refusal for each in reported[:-1]):
            yield f"another call at the {kind} cancel in round {round_} after a refusal"


def _heard(reports: Sequence[AttemptReport], lost_runs: Sequence[str]) -> Iterator[list[AttemptReport]]:
    """Yield every list of reports that the workflows may have received.

    A terminated workflow may or may not have received the report of its last activity. It may also have sent an adjust
    that was never reported.
    """
    by_activity = {run: [each.activity for each in reports if each.run == run] for run in lost_runs}
    doubtful = [(run, activities[-1]) for run, activities in by_activity.items() if activities]
    for count in range(len(doubtful) + 1):
        for unheard in combinations(doubtful, count):
            cancels = [each for each in reports if each.kind and (each.run, each.activity) not in unheard]
            adjusts = [
                AttemptReport(None, 0) if (each.run, each.activity) in unheard else each
                for each in reports
                if each.kind is None
            ]
            yield [*adjusts, *cancels]
            if lost_runs and not adjusts:
                yield [AttemptReport(None, 0), *cancels]


def _ends(reports: Sequence[AttemptReport], plan: Plan, *, stopped_early: bool) -> Iterator[End]:
    if not reports:
        if plan.stale or stopped_early:
            yield EXPIRED
        return
    adjust, *cancels = reports
    if adjust.outcome is Outcome.NOT_SENT:
        yield EXPIRED
    elif adjust.outcome is Outcome.APPLIED and not cancels:
        yield State.SETTLED, None
    elif adjust.outcome is not Outcome.APPLIED or stopped_early:
        yield from _compensated(adjust.outcome, cancels, plan.policy)


def _compensated(adjust: Outcome, cancels: Sequence[AttemptReport], policy: SettlementPolicy) -> Iterator[End]:
    if not cancels:
        return
    last = cancels[-1]
    result = last.cancel_result
    if result is None:
        if last.is_refusal or _round_used_up(cancels, policy):
            yield from WAITS_OR_CLOSED
    elif last.kind is CancelKind.CONFIRMING:
        first = {each.cancel_result for each in cancels if each.kind is CancelKind.FIRST}
        if CancelResult.REVERSED in first and result is not CancelResult.REVERSED:
            yield from WAITS_OR_CLOSED
        else:
            yield State.CANCELLED, result
    elif policy.confirm is ConfirmMode.NEVER or (
        policy.confirm is ConfirmMode.AFTER_NOT_FOUND
        and (result is CancelResult.REVERSED or adjust is Outcome.REJECTED)
    ):
        yield State.CANCELLED, result


def _round_used_up(cancels: Sequence[AttemptReport], policy: SettlementPolicy) -> bool:
    of_round = [each for each in cancels if each.activity == cancels[-1].activity]
    return sum(each.uses_an_attempt for each in of_round) == attempts_of_round(policy)
