"""Percentiles of the replies' latencies, and the geometry of their plot: time in the run against latency.

The latency axis is logarithmic, because replies of 2 ms and of 3 s must both be readable. The plot has a fixed height
in pixels and any width: x is a share of the width, in thousandths.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

LIMIT_S = 3.0
"""The contract's limit for a reply to an adjust."""
HEIGHT = 190
"""Height of the plot in pixels."""
WIDTH = 1000
"""The width that x is a part of."""
_LABEL_GAP = 15
"""Distance between two labels in pixels, so that neither covers the other."""
_FIRST_DECADE, _LAST_DECADE = -4, 1
"""The latency axis begins at 0.1 ms or above, and ends at 10 s or above."""
_X_TICKS_MAX = 6

Point = tuple[float, float]
"""Seconds since the start of the run, and latency in seconds."""


class Latencies(NamedTuple):
    """Percentiles by the nearest rank."""

    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float
    over_limit: int
    """Number of replies that took longer than LIMIT_S."""

    @classmethod
    def of(cls, points: Sequence[Point]) -> Self | None:
        """Return the percentiles of all replies; None if there are none."""
        ordered = sorted(elapsed for _, elapsed in points)
        if not ordered:
            return None
        p50, p95, p99 = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.50, 0.95, 0.99))
        return cls(p50, p95, p99, ordered[-1], sum(elapsed > LIMIT_S for elapsed in ordered))

    def named(self) -> list[tuple[str, float]]:
        """Return the percentiles with their names, the highest first."""
        return [("max", self.max_s), ("p99", self.p99_s), ("p95", self.p95_s), ("p50", self.p50_s)]


class Tick(NamedTuple):
    """A value on an axis."""

    at: float
    text: str


class Label(NamedTuple):
    """A value beside the plot. Its text may be moved away from its value, so that no text covers another."""

    name: str
    at: float
    text_at: float
    text: str


class Plot(NamedTuple):
    """What the template draws."""

    within: str
    """SVG path of the replies within the limit: one stroke of length 0 for each."""
    over: str
    """The same for the replies over the limit."""
    limit_at: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    labels: list[Label]


def plot(points: Sequence[Point]) -> Plot | None:
    """Return the plot of all replies; None if there are none."""
    latencies = Latencies.of(points)
    if latencies is None:
        return None
    first, last = _decades([elapsed for _, elapsed in points])
    end_s = max(*(at for at, _ in points), 1.0)

    def y(elapsed_s: float) -> float:
        share = (math.log10(max(elapsed_s, 10**first)) - first) / (last - first)
        return round(HEIGHT * (1 - share), 1)

    def path(is_over: bool) -> str:  # noqa: FBT001 - one of two paths
        dots = {(round(WIDTH * at / end_s), y(took)) for at, took in points if (took > LIMIT_S) is is_over}
        return "".join(f"M{x} {down:g}h0" for x, down in sorted(dots))

    return Plot(
        within=path(False),
        over=path(True),
        limit_at=y(LIMIT_S),
        x_ticks=[Tick(round(100 * at / end_s, 2), f"{at:g} s") for at in _steps(end_s)],
        y_ticks=[Tick(y(10**decade), duration(10**decade)) for decade in range(first, last + 1)],
        labels=list(_labels([(name, value, y(value)) for name, value in latencies.named()])),
    )


def duration(seconds: float) -> str:
    """Return a duration for a reader, with three figures: `0.42 ms`, `12.3 ms`, `3.01 s`, `104 s`."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms" if seconds < 0.9995 else "1 s"  # noqa: PLR2004 - more would be 1e+03 ms
    return f"{seconds:.0f} s" if seconds >= 100 else f"{seconds:.3g} s"  # noqa: PLR2004 - three figures


def _decades(elapsed: Sequence[float]) -> tuple[int, int]:
    """Return the powers of ten in seconds between which all latencies are."""
    first = math.floor(math.log10(max(min(elapsed), 10**_FIRST_DECADE)))
    last = math.ceil(math.log10(max(elapsed))) if max(elapsed) > 0 else _LAST_DECADE
    return min(first, _LAST_DECADE - 1), max(last, _LAST_DECADE)


def _steps(end_s: float) -> Iterator[float]:
    """Return round times from 0 to the end of the run: at most _X_TICKS_MAX steps of 1, 2 or 5 times a power of ten."""
    power = 10 ** math.floor(math.log10(end_s / _X_TICKS_MAX))
    step = next(power * each for each in (1, 2, 5, 10) if end_s / (power * each) <= _X_TICKS_MAX)
    return (round(step * number, 6) for number in range(math.floor(end_s / step) + 1))


def _labels(values: Sequence[tuple[str, float, float]]) -> Iterator[Label]:
    """Move the texts of neighbours apart, and keep all within the height."""
    from_top = sorted(values, key=lambda each: each[2])
    lowest = 0.0
    highest_free = HEIGHT - _LABEL_GAP * (len(from_top) - 1)
    for name, value, at in from_top:
        text_at = min(max(at, lowest), highest_free)
        yield Label(name, at, round(text_at, 1), duration(value))
        lowest, highest_free = text_at + _LABEL_GAP, highest_free + _LABEL_GAP
