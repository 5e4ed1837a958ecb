"""The invariant, held against every settlement of a storm."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from settlement.states import State
from simulator.book_records import NumberState, NumberView
from tests.chaos.callers import Callers, Placed
from tests.chaos.witnesses import Witnesses
from tests.simulation.broken import Broken, Violation
from tests.simulation.evidence import Evidence
from tests.simulation.invariant import sum_violations, violations

VIEWS = {"ledger", "api", "workflow"}


@dataclass(frozen=True)
class Verdict:
    """What a storm came to."""

    states: dict[str, State]
    """Where every settlement that was accepted stands, by number."""
    calls: int
    """Requests that the external system received about them."""
    violations: list[Violation]


async def judge(witnesses: Witnesses, callers: Callers) -> Verdict:
    """Hold every settlement, and all of them together, against the invariant."""
    every, unknown = await witnesses.evidence(callers.placed.values())
    found = [violation for evidence in every for violation in (*violations(evidence), *_missing_views(evidence))]
    found += lost(unknown)
    found += sum_violations(every, await witnesses.accounts())
    found += [Violation(Broken.ANSWERED_WRONGLY, "-", answer) for answer in callers.strange]
    found += [
        Violation(Broken.STORIES_DIFFER, "-", f"open finding: {each}") for each in await witnesses.open_findings()
    ]
    states = {evidence.number: evidence.story.state for evidence in every}
    return Verdict(states, sum(len(evidence.received) for evidence in every), found)


def lost(unknown: Iterable[tuple[Placed, NumberView]]) -> Iterator[Violation]:
    """Name what the ledger does not know although somebody else does."""
    for placed, books in unknown:
        if placed.accepted:
            yield Violation(Broken.LOST, placed.order.number, "its caller was told that it is accepted")
        if books.state is not NumberState.NEVER_RECEIVED or books.cancels:
            yield Violation(Broken.LOST, placed.order.number, f"the external system's books say {books.state}")


def _missing_views(evidence: Evidence) -> Iterator[Violation]:
    for view in sorted(VIEWS - set(evidence.stories)):
        yield Violation(Broken.STORIES_DIFFER, evidence.number, f"{view} does not know it")
