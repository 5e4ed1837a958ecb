"""Draws the ratios to the floor as grouped bars: an SVG without fonts, scripts and links."""

from collections.abc import Iterator
from html import escape

from bench.figures import FIGURES, Figure, Summary
from bench.systems import FLOOR

SHOWN = (
    "settlements_per_s",
    "settlements_per_s_5_percent_bad",
    "p50_ms",
    "p99_ms",
    "cpu_ms",
    "cpu_ms_temporal",
    "history_events",
    "temporal_requests",
)
WIDTH, LEFT, TOP, CHART = 1100, 48, 56, 260
FONT = "font-family='system-ui, sans-serif' font-size='12'"
COLOURS = ("#1565c0", "#2e7d32", "#f9a825", "#6a1b9a")
FLOOR_COLOUR, TARGET_COLOUR, GREY = "#555", "#c62828", "#e0e0e0"
SUBTITLE = "the floor is a bare workflow with one activity; medians of rounds in one run"
LETTER = 6.5
"""Approximate width of a letter, in pixels."""


def picture(figures: Summary) -> str:
    """Return the chart of every system but the floor, which is the line at 1."""
    systems = [name for name in figures if name != FLOOR]
    shown = [each for each in FIGURES if each.key in SHOWN and any(_ratio(figures, name, each) for name in systems)]
    top_ratio = max([1.0, *(_ratio(figures, name, each) for name in systems for each in shown)])
    scale = CHART / (1.1 * top_ratio)
    height = TOP + CHART + 66
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' {FONT}>",
        f"<rect width='{WIDTH}' height='{height}' fill='white'/>",
        f"<text x='{LEFT}' y='22' font-size='16' font-weight='bold'>One settlement, as a multiple of the floor</text>",
        f"<text x='{LEFT}' y='42' fill='{FLOOR_COLOUR}'>{SUBTITLE}</text>",
        *_grid(top_ratio, scale),
    ]
    width = (WIDTH - LEFT - 10) / max(1, len(shown))
    for number, each in enumerate(shown):
        parts += _group(figures, systems, each, LEFT + number * width, width, scale)
    parts.append(_line(LEFT, WIDTH - 10, 1, scale, FLOOR_COLOUR))
    parts += _legend(systems, height - 14)
    return "\n".join([*parts, "</svg>", ""])


def _ratio(figures: Summary, system: str, figure: Figure) -> float:
    return figures[system].get(figure.key, {}).get("ratio") or 0.0


def _y(ratio: float, scale: float) -> float:
    return TOP + CHART - ratio * scale


def _grid(top_ratio: float, scale: float) -> Iterator[str]:
    for whole in range(int(1.1 * top_ratio) + 1):
        yield _line(LEFT, WIDTH - 10, whole, scale, GREY)
        yield f"<text x='{LEFT - 6}' y='{_y(whole, scale) + 4:.1f}' text-anchor='end'>{whole}</text>"


def _line(left: float, right: float, ratio: float, scale: float, colour: str) -> str:
    y = _y(ratio, scale)
    return f"<line x1='{left:.1f}' y1='{y:.1f}' x2='{right:.1f}' y2='{y:.1f}' stroke='{colour}' stroke-width='1.5'/>"


def _group(  # noqa: PLR0913, PLR0917 - where to draw what
    figures: Summary, systems: list[str], figure: Figure, left: float, width: float, scale: float
) -> Iterator[str]:
    """Draw the bars of one figure, its name below them, and its target across them."""
    bar = 0.8 * width / max(1, len(systems))
    for number, (system, colour) in enumerate(zip(systems, COLOURS, strict=False)):
        ratio = _ratio(figures, system, figure)
        x, y = left + 0.1 * width + number * bar, _y(ratio, scale)
        yield (
            f"<rect x='{x:.1f}' y='{y:.1f}' width='{bar - 3:.1f}' height='{ratio * scale:.1f}' fill='{colour}'>"
            f"<title>{escape(f'{system}, {figure.title}: {ratio:.2f}')}</title></rect>"
        )
        yield f"<text x='{x + bar / 2:.1f}' y='{y - 4:.1f}' font-size='10' text-anchor='middle'>{ratio:.2f}</text>"
    below = TOP + CHART + 16
    better = "more is better" if figure.more_is_better else "less is better"
    for line, (text, colour) in enumerate(((figure.title.removesuffix(", ms"), "#000"), (better, FLOOR_COLOUR))):
        yield (
            f"<text x='{left + width / 2:.1f}' y='{below + 14 * line}' font-size='10' text-anchor='middle' "
            f"fill='{colour}'>{escape(text)}</text>"
        )
    if figure.target is not None:
        yield _line(left + 0.05 * width, left + 0.95 * width, figure.target, scale, TARGET_COLOUR)


def _legend(systems: list[str], y: float) -> Iterator[str]:
    entries = [*zip(COLOURS, systems, strict=False), (FLOOR_COLOUR, "floor (1.0)"), (TARGET_COLOUR, "target")]
    x = float(LEFT)
    for colour, name in entries:
        yield f"<rect x='{x:.0f}' y='{y - 10}' width='12' height='12' fill='{colour}'/>"
        yield f"<text x='{x + 17:.0f}' y='{y}'>{escape(name)}</text>"
        x += 40 + LETTER * len(name)
