"""The checks of cancels, races, connections and books: a correct broker passes all, and each fault fails its own.

Every fault is a small broker that breaks one rule. The others must not fail with it, so that a broker's engineer sees
one finding for one mistake.
"""

import pytest

from conformance.checks import REQUIREMENTS
from conformance.requirement import Outcome, Requirement, Result
from conformance.run import Runner
from conformance.target import BalanceSource, Hook, Target
from tests.conformance import faults_of_cancels as faults
from tests.conformance.small_broker import REJECT, SLOW, SmallBroker, serving

WAITING = {"C-048", "C-061", "C-062", "C-063"}
"""Checks that wait: they run where they must fail, and with the correct broker."""
ALL = [each for each in REQUIREMENTS if "C-040" <= each <= "C-082"]
QUICK = [each for each in ALL if each not in WAITING]

FAULTS: list[tuple[str, type[SmallBroker]]] = [
    ("C-040", faults.ComparesSigns),
    ("C-040", faults.ReversesNothing),
    ("C-041", faults.GivesBackAgainOnARepeat),
    ("C-041", faults.RefusesRepeatedCancels),
    ("C-042", faults.GivesBackForEachNumber),
    ("C-043", faults.ReadsBeforeItLocks),
    ("C-044", faults.SaysNotApplied),
    ("C-045", faults.BurnsNothing),
    ("C-046", faults.ForgetsRefusedAdjusts),
    ("C-047", faults.ChecksTooEarly),
    ("C-048", faults.ForgetsCancelsInProcess),
    ("C-049", faults.RefusesOldCancels),
    ("C-049", faults.RefusesOldTimestamps),
    ("C-050", faults.KeepsBalancesPositive),
    ("C-051", faults.TrustsCancelNumbers),
    ("C-052", faults.IgnoresAmounts),
    ("C-053", faults.IgnoresCurrencies),
    ("C-054", faults.IgnoresUsers),
    ("C-054", faults.IgnoresCustomers),
    ("C-055", faults.IgnoresSigns),
    ("C-060", faults.RepeatsTheFirstReply),
    ("C-060", faults.ClosesWithoutNotice),
    ("C-061", faults.ForgetsIdleConnections),
    ("C-062", faults.ReadsOneRequestAtATime),
    ("C-063", faults.ReadsWhatItGets),
    ("C-070", faults.RefusesPlacedOrders),
    ("C-071", faults.RefusesClosedPositions),
    ("C-072", faults.RefusesRepeatedOperations),
    ("C-073", faults.ClaimsThatItReversed),
    ("C-074", faults.IgnoresReverseTypes),
    ("C-080", faults.AddsFloats),
    ("C-081", faults.BooksBeforeItChecks),
    ("C-082", faults.LosesUpdates),
]


class _Quiet:
    def started(self, requirement: Requirement) -> None:
        """Ignore the start of a check."""

    def ended(self, result: Result) -> None:
        """Ignore the end of a check."""


async def outcomes(broker: SmallBroker, ids: list[str], races: int = 20) -> dict[str, Result]:
    """Run some checks against a broker; return the results by id."""
    async with serving(broker) as url:
        target = Target(
            base_url=url,
            balance=BalanceSource(f"{url}/balance?c={{thirdServerCode}}", "/balance"),
            refused=Hook(metadata=REJECT),
            slow=Hook(metadata=SLOW),
            idle_s=1.0,
            exchange_limit_s=1.5,
            races=races,
        )
        report = await Runner(target, [REQUIREMENTS[each] for each in ids], _Quiet()).run({})
    return {result.requirement.id: result for result in report.results}


async def test_correct_broker_passes_every_check() -> None:
    results = await outcomes(SmallBroker(), ALL)
    assert {each: result.reason for each, result in results.items() if result.outcome is not Outcome.PASSED} == {}


@pytest.mark.parametrize(("requirement_id", "fault"), FAULTS, ids=[f"{each}-{kind.__name__}" for each, kind in FAULTS])
async def test_fault_fails_its_own_requirement_and_no_other(requirement_id: str, fault: type[SmallBroker]) -> None:
    """A check whose precondition the fault breaks is not checked."""
    races = 20 if requirement_id in {"C-043", "C-047"} else 4
    results = await outcomes(fault(), sorted({*QUICK, requirement_id}), races)
    failed = {each: result.reason for each, result in results.items() if result.outcome is Outcome.FAILED}
    assert list(failed) == [requirement_id], failed
