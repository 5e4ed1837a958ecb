"""The pure parts of the measurements: ratios, regressions, percentiles, CPU times, arrivals, and the picture."""

import math
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from bench.broker import REJECTED, Seen
from bench.costs import TICK_MS, Costs, cpu_ms, persistence_requests
from bench.figures import FIGURES, regressions, summary
from bench.load import Answer, Load, arrivals, five_percent_bad, percentile
from bench.picture import SHOWN, picture
from bench.report import document, figures_in, table
from bench.rounds import Account, Plan, Round, account_of
from bench.storm import report
from bench.systems import FLOOR

OURS = "SQLite"


def rounds(*factors: float) -> list[dict[str, dict[str, float]]]:
    """Return rounds in which every figure of ours is the floor's times a factor; the machine is slower each time."""
    return [
        {FLOOR: {each.key: 10.0 * n for each in FIGURES}, OURS: {each.key: 10.0 * n * factor for each in FIGURES}}
        for n, factor in enumerate(factors, 1)
    ]


def changed(key: str, factor: float) -> list[str]:
    """Return the regressions if one ratio has changed by a factor."""
    now = rounds(2.0)
    now[0][OURS][key] *= factor
    return regressions(summary(rounds(2.0)), summary(now))


def test_a_ratio_is_the_median_of_the_ratios_within_each_round() -> None:
    figure = summary(rounds(3.0, 2.0, 1.0))[OURS]["cpu_ms"]
    assert figure == {"median": 30.0, "ratio": 2.0, "rounds": [30.0, 40.0, 30.0]}


def test_a_figure_that_the_floor_lacks_or_has_as_zero_has_no_ratio() -> None:
    measured = rounds(2.0)
    measured[0][FLOOR]["cpu_ms_api"] = 0.0
    del measured[0][FLOOR]["ledger_transactions"]
    found = summary(measured)[OURS]
    assert [found[key]["ratio"] for key in ("cpu_ms_api", "ledger_transactions", "cpu_ms")] == [None, None, 2.0]


def test_a_faster_or_slower_machine_is_no_regression() -> None:
    times = [{system: {key: 5 * value for key, value in each.items()} for system, each in rounds(2.0)[0].items()}]
    assert regressions(summary(rounds(2.0)), summary(times)) == []


@pytest.mark.parametrize("key", [each.key for each in FIGURES if each.is_compared])
def test_a_ratio_that_is_worse_by_more_than_15_percent_is_named(key: str) -> None:
    (figure,) = (each for each in FIGURES if each.key == key)
    power = -1.0 if figure.more_is_better else 1.0
    assert changed(key, 1.14**power) == []
    assert changed(key, 0.5**power) == []
    (line,) = changed(key, 1.16**power)
    assert line.startswith(f"{OURS}, {figure.title}: ")
    assert line.endswith("worse by 16 %")


def test_what_only_one_run_has_is_not_compared() -> None:
    without = summary(rounds(9.0))
    del without[OURS]
    assert regressions(without, summary(rounds(9.0))) == regressions(summary(rounds(2.0)), without) == []


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (0.5, 51.0), (0.99, 100.0), (1.0, 101.0)])
def test_a_percentile_is_a_value_of_the_sample(share: float, expected: float) -> None:
    assert percentile([float(each) for each in range(101, 0, -1)], share) == expected


def test_a_percentile_of_nothing_is_not_a_number() -> None:
    assert math.isnan(percentile([], 0.5))


def test_cpu_time_includes_children_that_have_ended_whatever_the_name_of_the_process() -> None:
    stat = f"42 (a) b (c) S 1 {'0 ' * 9}3 4 5 6 20 0 1 0 {'9 ' * 30}"
    assert cpu_ms(stat) == pytest.approx(18 * TICK_MS)


def test_the_difference_of_two_costs_is_what_was_used_in_between() -> None:
    used = Costs({"worker": 30.0}, 9.0).since(Costs({"worker": 10.0}, 4.0))
    assert used == Costs({"worker": 20.0}, 5.0)


def test_requests_of_temporal_to_its_database_are_summed_over_all_operations() -> None:
    lines = [
        "# TYPE persistence_requests counter",
        'persistence_requests{operation="A",service_name="history"} 12',
        'persistence_requests{operation="B"} 1e+03',
        'persistence_requests_other{operation="B"} 7',
    ]
    assert persistence_requests("\n".join(lines)) == 1012


def test_arrivals_are_random_but_the_same_for_every_system_and_keep_the_rate() -> None:
    times = arrivals(8, 1000, seed=1)
    assert times == arrivals(8, 1000, seed=1) != arrivals(8, 1000, seed=2)
    assert times == sorted(times)
    assert times[-1] < 1000
    assert len(times) == pytest.approx(8000, rel=0.05)


def test_every_twentieth_order_is_rejected() -> None:
    assert [each.number for each in five_percent_bad("BAD", 45) if each.metadata == REJECTED] == ["BAD-19", "BAD-39"]


def test_an_order_without_a_decision_counts_neither_for_the_rate_nor_for_the_latency() -> None:
    load = Load([Answer("1", "PROCEED", 0.1), Answer("2", None, 90.0)], seconds=2.0)
    assert (load.per_s, load.after_ms(0.99)) == (0.5, 100.0)


@pytest.mark.parametrize(
    "wrong", [{"decided": 8}, {"completed": 8}, {"sent": 9}, {"sent": 7}, {"cancelled": 0}, {"cancelled": 2}]
)
def test_a_lost_a_repeated_and_an_uncancelled_order_are_noticed(wrong: dict[str, int]) -> None:
    right = {"posted": 9, "decided": 9, "completed": 9, "sent": 8, "never_sent": 1, "rejected": 1, "cancelled": 1}
    assert Account(**right).is_complete
    assert not Account(**{**right, **wrong}).is_complete


def test_the_accounts_of_a_system_are_summed_over_its_rounds() -> None:
    one = Round({}, Account(10, 10, 10, 10, 0, 1, 1))
    assert account_of([one, one])["posted"] == 20


def test_the_file_has_every_figure_and_nothing_that_identifies_the_machine() -> None:
    figures = summary(rounds(2.0))
    found: dict[str, Any] = document(figures, {FLOOR: {}, OURS: {}}, Plan())
    assert figures_in(found) == figures
    assert set(found) == {"measured_at", "commit", "machine", "plan", "systems"}
    assert set(found["machine"]) == {"cpus", "cpu", "memory_gib", "python"}
    assert len(table(figures).splitlines()) == 1 + len(FIGURES)


def test_the_picture_has_a_bar_for_each_figure_of_each_system_but_the_floor() -> None:
    drawn = ET.fromstring(picture(summary(rounds(2.0, 3.0))))  # noqa: S314 - our own text
    titles = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert [title for title in titles if title and title.startswith(f"{OURS}, ") and title.endswith("2.50")] == titles
    assert len(titles) == len(SHOWN)


def test_the_storm_counts_calls_that_were_cut_off_early_or_left_without_a_cancel() -> None:
    seen = [Seen([0], 3_010_000_000, [3_020_000_000]), Seen([0], 2_900_000_000, [2_950_000_000]), Seen([0])]
    load = Load([Answer(str(each), "VOID", 3.0) for each in range(4)], seconds=4.0)
    lines = "\n".join(report("storm", load, seen, ["CANCELLED", "EXPIRED", "ABORTED"]))
    assert "4 orders hang, 3 reached the broker" in lines
    assert "cut off before 3.000 s: 1; sent twice: 0; not consistent: 2" in lines
