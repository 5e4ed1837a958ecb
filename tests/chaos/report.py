"""What a storm came to, for a terminal and as Markdown."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from tests.chaos.network_faults import NetworkFault
from tests.chaos.storm import Storm


def in_words(storm: Storm) -> str:
    """Return the report; its last line says how many violations there were."""
    return "\n".join(_lines(storm))


def _lines(storm: Storm) -> Iterator[str]:
    plan, verdict = storm.plan, storm.verdict
    kills = sum(struck.strike.is_kill for struck in storm.struck)
    others = len(storm.struck) - kills
    not_accepted = len(storm.placings) - len(verdict.states)
    yield f"## Ledger on {plan.kind}, seed {plan.seed}"
    yield ""
    yield (
        f"{len(storm.placings)} orders in {storm.over_s:.0f} s, {kills} kills and {others} other strikes; "
        f"at rest {storm.at_rest_s - storm.over_s:.0f} s after the last answer."
    )
    yield f"Settlements: {_counted(Counter(verdict.states.values()))}; not accepted: {not_accepted}."
    yield f"External calls received: {verdict.calls}. Operator acts: {storm.operator_actions}."
    yield f"Answers to POST: {_counted(storm.answers)} (0: the connection broke)."
    met = {fault: count for fault, count in storm.network.items() if fault is not NetworkFault.NONE}
    yield f"Network: {_counted(met)}; {storm.network[NetworkFault.NONE]} exchanges undisturbed."
    if storm.left_out:
        yield f"Left out here: {', '.join(storm.left_out)}."
    yield ""
    yield from _recoveries(storm)
    yield ""
    yield from (f"VIOLATION {violation}" for violation in verdict.violations)
    yield f"{len(verdict.violations)} violations"


def _recoveries(storm: Storm) -> Iterator[str]:
    by_strike: defaultdict[str, list[float | None]] = defaultdict(list)
    for struck in storm.struck:
        by_strike[struck.strike].append(struck.recovery_s)
    yield "| strike | times | orders settled again after (s): median | longest |"
    yield "|---|---|---|---|"
    for strike, recoveries in sorted(by_strike.items()):
        known = [each for each in recoveries if each is not None]
        longest = f"{max(known):.1f}" if len(known) == len(recoveries) else "NEVER"
        yield f"| {strike} | {len(recoveries)} | {median(known) if known else float('nan'):.1f} | {longest} |"


def _counted(what: Mapping[Any, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(what.items()))
