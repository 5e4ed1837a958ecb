"""The figures of a run: what they are called, their medians, their ratios to the floor, and whether they became worse.

Times depend on the machine and on its other work. A ratio to the floor of the same round depends on them much less, so
only ratios are compared with an earlier run.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bench.systems import FLOOR

TOLERANCE = 0.15
"""How much worse a ratio may be than in the earlier run."""


class Figure(NamedTuple):
    """One figure of a system."""

    key: str
    title: str
    more_is_better: bool = False
    target: float | None = None
    """The goal for its ratio to the floor; None: there is none."""
    is_compared: bool = True
    """Whether an earlier run is compared with it."""


FIGURES = (
    Figure("settlements_per_s", "settlements/s", more_is_better=True, target=0.85),
    Figure("settlements_per_s_5_percent_bad", "settlements/s, 5 % bad", more_is_better=True),
    Figure("p50_ms", "decision p50, ms", target=1.15),
    Figure("p99_ms", "decision p99, ms"),
    Figure("cpu_ms", "CPU per settlement, ms", target=1.2),
    Figure("cpu_ms_temporal", "CPU of Temporal, ms"),
    Figure("cpu_ms_worker", "CPU of worker, ms"),
    Figure("cpu_ms_api", "CPU of API, ms"),
    Figure("cpu_ms_worker-and-api", "CPU of worker and API, ms"),
    Figure("cpu_ms_postgresql", "CPU of PostgreSQL, ms"),
    Figure("history_events", "history events"),
    Figure("history_bytes", "history bytes"),
    Figure("temporal_requests", "Temporal database requests"),
    Figure("ledger_transactions", "ledger transactions"),
    # Memory grows in steps, and the floor's growth may be zero.
    Figure("growth_mib_worker", "worker growth, MiB", is_compared=False),
    Figure("growth_mib_api", "API growth, MiB", is_compared=False),
)
"""Costs are per settlement. A figure that the floor does not have has no ratio."""

Rounds = Sequence[Mapping[str, Mapping[str, float]]]
"""The figures by key, by system, of each round."""
Summary = dict[str, dict[str, dict[str, Any]]]
"""By system and key: the median, the median ratio, and all values."""


def summary(rounds: Rounds) -> Summary:
    """Return medians and ratios of every system that was measured."""
    return {system: _summary_of(rounds, system) for system in rounds[0]}


def _summary_of(rounds: Rounds, system: str) -> dict[str, dict[str, Any]]:
    found = {}
    for figure in FIGURES:
        values = [each[system][figure.key] for each in rounds if figure.key in each[system]]
        if values:
            ratios = [ratio for each in rounds if (ratio := ratio_to_floor(each, system, figure.key)) is not None]
            found[figure.key] = {
                "median": _rounded(statistics.median(values)),
                "ratio": _rounded(statistics.median(ratios)) if ratios and figure.is_compared else None,
                "rounds": [_rounded(value) for value in values],
            }
    return found


def ratio_to_floor(one_round: Mapping[str, Mapping[str, float]], system: str, key: str) -> float | None:
    """Return a figure as a multiple of the floor's in the same round; None if either has none, or the floor's is 0."""
    value, floor = one_round[system].get(key), one_round.get(FLOOR, {}).get(key)
    return value / floor if value is not None and floor else None


def regressions(before: Summary, now: Summary) -> list[str]:
    """Return one line for each ratio that is worse than before by more than `TOLERANCE`.

    A system or figure that only one of the runs has is not compared: a machine may have no PostgreSQL.
    """
    return [
        line
        for system in now
        for figure in FIGURES
        if (line := _regression(system, figure, before.get(system, {}), now[system])) is not None
    ]


def _regression(
    system: str, figure: Figure, before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> str | None:
    old, new = before.get(figure.key, {}).get("ratio"), now.get(figure.key, {}).get("ratio")
    if not old or not new:
        return None
    worse = (old / new if figure.more_is_better else new / old) - 1
    if worse <= TOLERANCE:
        return None
    return f"{system}, {figure.title}: {new:.2f} times the floor, {old:.2f} before; worse by {100 * worse:.0f} %"


def _rounded(value: float) -> float:
    return round(value, 3)
