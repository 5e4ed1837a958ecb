"""`python -m bench` at a small size. It asserts counts and that every figure is there; no time."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.figures import FIGURES
from bench.systems import FLOOR, ONE_PROCESS, POSTGRESQL

ROOT = Path(__file__).parents[2]
ORDERS, BAD_ORDERS, WARM_UP = 30, 40, 4
SMALL = (
    *("--rounds", "1", "--callers", "8", "--orders", str(ORDERS), "--bad-orders", str(BAD_ORDERS)),
    *("--warm-up", str(WARM_UP), "--open-s", "2"),
)
ONLY_ON_POSTGRESQL = {"cpu_ms_postgresql", "ledger_transactions"}
ONLY_IN_ONE_PROCESS = {"cpu_ms_worker-and-api"}
ONLY_IN_TWO_PROCESSES = {"cpu_ms_worker", "cpu_ms_api", "growth_mib_worker", "growth_mib_api"}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    command = [sys.executable, "-m", "bench", *SMALL, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)  # noqa: S603 - our own command


@pytest.mark.prove("bench")
@pytest.mark.timeout(900)
def test_a_small_run_has_every_figure_and_loses_no_order(tmp_path: Path) -> None:
    done = bench("--docs", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    measured: dict[str, Any] = json.loads((tmp_path / "performance.json").read_text())
    assert {FLOOR, "SQLite"} <= set(measured["systems"])
    keys = {each.key for each in FIGURES}
    for name, system in measured["systems"].items():
        expected = keys if name == POSTGRESQL else keys - ONLY_ON_POSTGRESQL
        expected -= ONLY_IN_TWO_PROCESSES if name == ONE_PROCESS else ONLY_IN_ONE_PROCESS
        assert set(system["figures"]) == expected
    for orders in (system["orders"] for system in measured["systems"].values()):
        assert orders["posted"] > WARM_UP + ORDERS + BAD_ORDERS
        assert orders["posted"] == orders["decided"] == orders["completed"]
        assert orders["posted"] == orders["sent"] + orders["never_sent"]
        assert orders["cancelled"] == orders["rejected"] <= BAD_ORDERS // 20
    assert "<svg" in (tmp_path / "images" / "performance.svg").read_text()


@pytest.mark.prove("bench")
@pytest.mark.timeout(900)
def test_a_run_that_is_worse_than_an_earlier_one_fails_and_names_the_figure(tmp_path: Path) -> None:
    earlier = {"systems": {FLOOR: {"figures": {"settlements_per_s": {"ratio": 2.0}}}}}
    (file := tmp_path / "earlier.json").write_text(json.dumps(earlier))
    done = bench("--systems", FLOOR, "--compare", str(file))
    assert (done.returncode, done.stderr) == (
        1,
        "floor, settlements/s: 1.00 times the floor, 2.00 before; worse by 100 %\n",
    )
