"""A chart of a chaos run as SVG: faults over time, recovery times, and the end states of the orders."""

from collections import Counter
from collections.abc import Iterator
from html import escape

from settlement.states import State
from tests.chaos.chaos_run import ChaosResult
from tests.chaos.system_faults import InjectedFault

WIDTH, LEFT, RIGHT, TOP = 1200, 190, 20, 56
LANE, GAP = 22, 30
CHART = 170
BINS = 80
FONT = "font-family='system-ui, sans-serif' font-size='12'"
COLOURS = {
    State.SETTLED: "#2e7d32",
    State.CANCELLED: "#90a4ae",
    State.EXPIRED: "#f9a825",
    State.RESOLVED: "#6a1b9a",
    State.ABORTED: "#c62828",
    State.ADJUSTING: "#000000",
    State.CANCELLING: "#000000",
}
DOWN, RECOVERING = "#c62828", "#ffcc80"


def chart(result: ChaosResult) -> str:
    """Return the chart as a self-contained SVG."""
    lanes = sorted({injected.fault for injected in result.injected}, key=lambda fault: (not fault.is_kill, fault))
    chart_top = TOP + LANE * len(lanes) + GAP
    height = chart_top + CHART + 70
    scale = (WIDTH - LEFT - RIGHT) / max(result.at_rest_s, 1)
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' {FONT}>",
        f"<rect width='{WIDTH}' height='{height}' fill='white'/>",
        *_title(result),
        *_axis(result, scale, chart_top + CHART),
    ]
    for n, lane in enumerate(lanes):
        y = TOP + LANE * n
        parts.append(f"<text x='{LEFT - 8}' y='{y + 15}' text-anchor='end'>{escape(lane)}</text>")
        parts += [
            part for injected in result.injected if injected.fault is lane for part in _fault_bars(injected, y, scale)
        ]
    parts += _outcomes(result, scale, chart_top)
    parts += _legend(height - 14)
    return "\n".join([*parts, "</svg>", ""])


def _title(result: ChaosResult) -> Iterator[str]:
    plan, assessment = result.plan, result.assessment
    kills = sum(injected.fault.is_kill for injected in result.injected)
    yield (
        f"<text x='{LEFT}' y='22' font-size='16' font-weight='bold'>{len(assessment.states)} settlements, "
        f"{kills} kills (SIGKILL), ledger on {plan.kind}: {len(assessment.violations)} violations</text>"
    )
    yield f"<text x='{LEFT}' y='42' fill='#555'>seconds since the chaos run began; seed {plan.seed}</text>"


def _axis(result: ChaosResult, scale: float, bottom: float) -> Iterator[str]:
    step = next(step for step in (10, 30, 60, 120, 300, 600) if result.at_rest_s / step <= 12 or step == 600)
    for second in range(0, int(result.at_rest_s) + 1, step):
        x = LEFT + second * scale
        yield f"<line x1='{x:.1f}' y1='{TOP - 4}' x2='{x:.1f}' y2='{bottom}' stroke='#e0e0e0'/>"
        yield f"<text x='{x:.1f}' y='{bottom + 16}' text-anchor='middle'>{second}</text>"
    x = LEFT + result.over_s * scale
    yield f"<line x1='{x:.1f}' y1='{TOP - 4}' x2='{x:.1f}' y2='{bottom}' stroke='#555' stroke-dasharray='4 3'/>"
    yield f"<text x='{x - 4:.1f}' y='{bottom + 32}' text-anchor='end' fill='#555'>last response</text>"


def _fault_bars(injected: InjectedFault, y: float, scale: float) -> Iterator[str]:
    recovered_s = injected.recovered_s or injected.over_s
    begin, over, end = (LEFT + second * scale for second in (injected.at_s, injected.over_s, recovered_s))
    yield _bar(begin, over, y, DOWN)
    if end > over:
        yield _bar(over, end, y, RECOVERING)
    label = f"{injected.recovery_s:.1f}" if injected.recovery_s is not None else "never"
    yield f"<text x='{max(over, end) + 3:.1f}' y='{y + 15}' font-size='10'>{label}</text>"


def _bar(left: float, right: float, y: float, colour: str) -> str:
    return (
        f"<rect x='{left:.1f}' y='{y + 4}' width='{max(right - left, 1.5):.1f}' height='{LANE - 8}' fill='{colour}'/>"
    )


def _outcomes(result: ChaosResult, scale: float, top: float) -> Iterator[str]:
    """Stack the end states of the orders by the time of their POST."""
    bin_s = result.over_s / BINS or 1.0
    counts: list[Counter[State]] = [Counter() for _ in range(BINS + 1)]
    for placing in result.posted_orders:
        if state := result.assessment.states.get(placing.number):
            counts[min(int(placing.at_s / bin_s), BINS)][state] += 1
    unit = CHART / max(1, *(each.total() for each in counts))
    yield f"<text x='{LEFT - 8}' y='{top + 15}' text-anchor='end'>orders by time</text>"
    yield f"<text x='{LEFT - 8}' y='{top + 31}' text-anchor='end'>of posting</text>"
    for n, count in enumerate(counts):
        y = top + CHART
        for state, colour in COLOURS.items():
            high = count[state] * unit
            y -= high
            if high:
                x, wide = LEFT + n * bin_s * scale, bin_s * scale - 1
                yield f"<rect x='{x:.1f}' y='{y:.1f}' width='{wide:.1f}' height='{high:.1f}' fill='{colour}'/>"


def _legend(y: float) -> Iterator[str]:
    entries: list[tuple[str, str]] = [(colour, name) for name, colour in COLOURS.items() if colour != "#000000"]
    entries += [(DOWN, "fault"), (RECOVERING, "until orders were settled again (s)")]
    x = float(LEFT)
    for colour, name in entries:
        yield f"<rect x='{x:.0f}' y='{y - 10}' width='12' height='12' fill='{colour}'/>"
        yield f"<text x='{x + 17:.0f}' y='{y}'>{name}</text>"
        x += 34 + 7.5 * len(name)
