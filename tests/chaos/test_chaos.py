"""A small chaos run, in `make prove`. `make chaos` runs the large ones."""

from pathlib import Path

import pytest

from tests.chaos.chaos_run import ChaosPlan, chaos_run
from tests.chaos.chaos_stack import LedgerKind
from tests.chaos.report import report_text

SMALL = ChaosPlan(LedgerKind.SQLITE, settlements=40, kills=5, rate_per_s=2, seed=7, others=2)


@pytest.mark.prove("chaos-run")
@pytest.mark.timeout(900)
async def test_a_small_chaos_run_violates_no_rule_of_the_invariant(tmp_path: Path) -> None:
    progress: list[str] = []
    ended = await chaos_run(SMALL, tmp_path / "chaos", progress.append)
    report = report_text(ended)
    assert ended.assessment.violations == [], report
    assert sum(injected.fault.is_kill for injected in ended.injected) == SMALL.kills
    assert all(injected.recovered_s is not None for injected in ended.injected), report
    assert len(ended.assessment.states) >= SMALL.settlements, report
    assert ended.assessment.calls > 0
    assert report.endswith("0 violations")
