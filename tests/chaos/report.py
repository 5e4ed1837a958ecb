"""The report of a chaos run, for a terminal and as Markdown."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from tests.chaos.chaos_run import ChaosResult
from tests.chaos.network_faults import NetworkFault


def report_text(result: ChaosResult) -> str:
    """Return the report. Its last line has the number of violations."""
    return "\n".join(_lines(result))


def _lines(result: ChaosResult) -> Iterator[str]:
    plan, assessment = result.plan, result.assessment
    kills = sum(injected.fault.is_kill for injected in result.injected)
    others = len(result.injected) - kills
    not_accepted = len(result.posted_orders) - len(assessment.states)
    yield f"## Ledger on {plan.kind}, seed {plan.seed}"
    yield ""
    yield (
        f"{len(result.posted_orders)} orders in {result.over_s:.0f} s, {kills} kills and {others} other faults; "
        f"all work ended {result.at_rest_s - result.over_s:.0f} s after the last response."
    )
    yield f"Settlements: {_counted(Counter(assessment.states.values()))}; not accepted: {not_accepted}."
    yield f"External calls received: {assessment.calls}. Operator actions: {result.operator_actions}."
    yield f"Responses to POST: {_counted(result.answers)} (0: the connection broke)."
    met = {fault: count for fault, count in result.network.items() if fault is not NetworkFault.NONE}
    yield f"Network: {_counted(met)}; {result.network[NetworkFault.NONE]} exchanges without a fault."
    if result.left_out:
        yield f"Left out here: {', '.join(result.left_out)}."
    yield ""
    yield from _recoveries(result)
    yield ""
    yield from (f"VIOLATION {violation}" for violation in assessment.violations)
    yield f"{len(assessment.violations)} violations"


def _recoveries(result: ChaosResult) -> Iterator[str]:
    by_fault: defaultdict[str, list[float | None]] = defaultdict(list)
    for injected in result.injected:
        by_fault[injected.fault].append(injected.recovery_s)
    yield "| fault | times | orders settled again after (s): median | longest |"
    yield "|---|---|---|---|"
    for fault, recoveries in sorted(by_fault.items()):
        known = [each for each in recoveries if each is not None]
        longest = f"{max(known):.1f}" if len(known) == len(recoveries) else "NEVER"
        yield f"| {fault} | {len(recoveries)} | {median(known) if known else float('nan'):.1f} | {longest} |"


def _counted(what: Mapping[Any, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(what.items()))
