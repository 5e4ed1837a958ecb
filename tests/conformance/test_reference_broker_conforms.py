"""The conformance kit finds nothing wrong with the reference broker, on SQLite and on PostgreSQL."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from conformance.checks import REQUIREMENTS
from tests.support.documents import ROOT
from tests.support.reference_broker import Broker

LONG = {"C-001", "C-014", "C-061", "C-062"}
"""They send at a steady rate or slowly, or wait; the others take a few seconds together."""
LIMIT_S = 170


async def run_kit(broker: Broker, folder: Path, *options: str) -> dict[str, Any]:
    """Run the kit against a broker, with everything that it can be told, and return its report."""
    command = [
        *(sys.executable, "-m", "conformance", "run", "--quiet", "--report", str(folder)),
        *("--base-url", broker.url),
        *("--refused-customer", "closed-1", "--slow-customer", "slow-1"),
        *("--balance-url", f"{broker.url}/balances/{{thirdServerCode}}/{{currency}}", "--balance-pointer", "/balance"),
        *options,
    ]
    started = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(LIMIT_S):
        printed, _ = await started.communicate()
    assert started.returncode == 0, printed.decode()
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def passed(report: dict[str, Any]) -> set[str]:
    """Return the requirements that a run has found kept."""
    return {each["id"] for each in report["results"] if each["outcome"] == "PASSED"}


async def test_the_kit_finds_nothing_in_what_it_can_check_at_once(broker: Broker, tmp_path: Path) -> None:
    only = [option for each in REQUIREMENTS if each not in LONG for option in ("--only", each)]
    report = await run_kit(broker, tmp_path, "--races", "5", "--parallel", "8", *only)
    assert passed(report) == set(REQUIREMENTS) - LONG


@pytest.mark.prove("reference-broker")
async def test_the_kit_finds_nothing_at_all(broker: Broker, tmp_path: Path) -> None:
    report = await run_kit(broker, tmp_path)
    assert passed(report) == set(REQUIREMENTS)
