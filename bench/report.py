"""Shows a run: the file docs/performance.json and a table."""

import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.figures import FIGURES, Summary
from bench.rounds import Plan

ROOT = Path(__file__).resolve().parent.parent
_CPU_INFO = Path("/proc/cpuinfo")
_KIB_PER_GIB = 1024 * 1024


def document(figures: Summary, accounts: Mapping[str, Mapping[str, int]], plan: Plan) -> dict[str, Any]:
    """Return the JSON of a run: when and where it was measured, its size, and all figures with every round."""
    systems = {name: {"orders": dict(accounts[name]), "figures": figures[name]} for name in figures}
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": _machine(),
        "plan": asdict(plan),
        "systems": systems,
    }


def figures_in(measured: Mapping[str, Any]) -> Summary:
    """Return the figures of a document."""
    return {name: each["figures"] for name, each in measured["systems"].items()}


def table(figures: Summary) -> str:
    """Return a table: a line for each figure, a column for each system, ratios to the floor in brackets."""
    lines = [f"{'median per round':<28}" + "".join(f"{name:>22}" for name in figures)]
    lines += [
        f"{figure.title:<28}" + "".join(f"{_cell(each.get(figure.key)):>22}" for each in figures.values())
        for figure in FIGURES
        if any(figure.key in each for each in figures.values())
    ]
    return "\n".join(lines)


def _cell(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return "-"
    ratio = "        " if figure["ratio"] is None else f" ({figure['ratio']:5.2f})"
    return f"{figure['median']:.1f}{ratio}"


def _commit() -> str | None:
    """Return the commit, with a mark if files differ from it; None outside a clone."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    return done.stdout.strip() or None


def _machine() -> dict[str, Any]:
    """Return what of the machine matters for the figures; nothing that identifies it."""
    models = [line.partition(":")[2].strip() for line in _cpu_lines() if line.startswith("model name")]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024
    return {
        "cpus": os.cpu_count(),
        "cpu": models[0] if models else platform.machine(),
        "memory_gib": round(pages / _KIB_PER_GIB),
        "python": platform.python_version(),
    }


def _cpu_lines() -> list[str]:
    return _CPU_INFO.read_text().splitlines() if _CPU_INFO.exists() else []
