"""The latency plot shows every reply within its frame, with percentiles by the nearest rank."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.report.latency import HEIGHT, WIDTH, Latencies, duration, plot

LATENCIES = st.lists(st.tuples(st.floats(0, 100_000), st.floats(0, 100_000)), min_size=1)


def test_percentiles_are_by_the_nearest_rank() -> None:
    found = Latencies.of([(0.0, number / 100) for number in range(200, 0, -1)])
    assert found == Latencies(p50_s=1.0, p95_s=1.9, p99_s=1.98, max_s=2.0, over_limit=0)
    assert Latencies.of([(0, 3.0)]) == Latencies(3.0, 3.0, 3.0, 3.0, 0)
    assert Latencies.of([]) is None
    assert plot([]) is None


def test_replies_over_the_limit_are_drawn_apart() -> None:
    drawn = plot([(0, 0.01), (50, 3.0), (100, 3.001)])
    assert drawn is not None
    assert (drawn.within.count("M"), drawn.over.count("M")) == (2, 1)
    assert drawn.over.startswith("M1000 ")
    assert [tick.text for tick in drawn.y_ticks] == ["10 ms", "100 ms", "1 s", "10 s"]
    assert [tick.text for tick in drawn.x_ticks] == ["0 s", "20 s", "40 s", "60 s", "80 s", "100 s"]


def test_equal_percentiles_are_named_from_the_highest_down() -> None:
    drawn = plot([(0, 0.01)])
    assert drawn is not None
    assert [label.name for label in drawn.labels] == ["max", "p99", "p95", "p50"]


@given(LATENCIES)
def test_everything_is_within_the_frame_and_no_label_covers_another(points: list[tuple[float, float]]) -> None:
    drawn = plot(points)
    assert drawn is not None
    dots = re.findall(r"M([^ ]+) ([^h]+)h0", drawn.within + drawn.over)
    assert dots
    for x, y in dots:
        assert 0 <= float(x) <= WIDTH
        assert 0 <= float(y) <= HEIGHT
    assert 0 <= drawn.limit_at <= HEIGHT
    assert len(drawn.x_ticks) <= 7
    assert all(0 <= tick.at <= 100 for tick in drawn.x_ticks)
    texts = [label.text_at for label in drawn.labels]
    assert all(below - above > 14 for above, below in pairwise(texts))
    assert all(0 <= each <= HEIGHT for each in texts)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 ms"), (0.00042, "0.42 ms"), (0.01234, "12.3 ms"), (0.9996, "1 s"), (3.006, "3.01 s"), (1000.0, "1000 s")],
)
def test_a_duration_has_three_figures(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
