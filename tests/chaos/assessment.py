"""Checks the invariant for every settlement of a chaos run."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from settlement.states import State
from simulator.book_records import NumberState, NumberView
from tests.chaos.callers import Callers, PlacedOrder
from tests.chaos.evidence_collector import EvidenceCollector
from tests.simulation.evidence import Evidence
from tests.simulation.invariant import sum_violations, violations
from tests.simulation.violation import Violation, ViolationKind

VIEWS = {"ledger", "api", "workflow"}


@dataclass(frozen=True)
class Assessment:
    """The end states, and the violations of the invariant."""

    states: dict[str, State]
    """The state of every accepted settlement, by number."""
    calls: int
    """Number of requests that the external system received about them."""
    violations: list[Violation]


async def assess(collector: EvidenceCollector, callers: Callers) -> Assessment:
    """Check the invariant for every settlement, and for all of them together."""
    every, unknown = await collector.evidence(callers.placed.values())
    found = [violation for evidence in every for violation in (*violations(evidence), *_missing_views(evidence))]
    found += lost_orders(unknown)
    found += sum_violations(every, await collector.accounts())
    found += [Violation(ViolationKind.ANSWERED_WRONGLY, "-", answer) for answer in callers.wrong_responses]
    found += [
        Violation(ViolationKind.VIEWS_DIFFER, "-", f"open finding: {each}") for each in await collector.open_findings()
    ]
    states = {evidence.number: evidence.view.state for evidence in every}
    return Assessment(states, sum(len(evidence.received) for evidence in every), found)


def lost_orders(unknown: Iterable[tuple[PlacedOrder, NumberView]]) -> Iterator[Violation]:
    """Yield a violation for each order that is missing in the ledger although it was accepted or received."""
    for placed, books in unknown:
        if placed.accepted:
            yield Violation(ViolationKind.LOST, placed.order.number, "its caller was told that it was accepted")
        if books.state is not NumberState.NEVER_RECEIVED or books.cancels:
            yield Violation(ViolationKind.LOST, placed.order.number, f"the external system's books say {books.state}")


def _missing_views(evidence: Evidence) -> Iterator[Violation]:
    for view in sorted(VIEWS - set(evidence.views)):
        yield Violation(ViolationKind.VIEWS_DIFFER, evidence.number, f"{view} does not have it")
