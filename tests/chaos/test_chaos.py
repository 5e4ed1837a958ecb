"""A small storm in every `make prove`; `make chaos` is the long one."""

from pathlib import Path

import pytest

from tests.chaos.ground import LedgerKind
from tests.chaos.report import in_words
from tests.chaos.storm import StormPlan, storm

SMALL = StormPlan(LedgerKind.SQLITE, settlements=40, kills=5, rate_per_s=2, seed=7, others=2)


@pytest.mark.prove("storm")
@pytest.mark.timeout(900)
async def test_after_a_small_storm_no_promise_is_broken(tmp_path: Path) -> None:
    told: list[str] = []
    ended = await storm(SMALL, tmp_path / "storm", told.append)
    report = in_words(ended)
    assert ended.verdict.violations == [], report
    assert sum(struck.strike.is_kill for struck in ended.struck) == SMALL.kills
    assert all(struck.recovered_s is not None for struck in ended.struck), report
    assert len(ended.verdict.states) >= SMALL.settlements, report
    assert ended.verdict.calls > 0
    assert report.endswith("0 violations")
