"""Known vulnerabilities of the packages in the image, asked of pip-audit's service: `.ci/audit`.

pip-audit itself reports success for packages that its service does not know, or that it could not ask for.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.binaries import beside_python

LOCK = Path(__file__).parents[2] / "requirements/runtime.txt"
MODES = ("required", "when-reachable")
LIMIT_S = 600


class Verdict(NamedTuple):
    """Whether the step passes, and the lines that say why."""

    is_passed: bool
    lines: list[str]


def verdict(packages: Sequence[dict[str, Any]], mode: str, problem: str = "") -> Verdict:
    """Judge pip-audit's report. `packages` is empty if it wrote none, and `problem` is then its last line.

    A vulnerability fails in every mode. A package that was not audited fails too, except that with `when-reachable` the
    step passes if none at all was audited: then there was no service.
    """
    if mode not in MODES:
        return Verdict(is_passed=False, lines=[f"AUDIT must be {' or '.join(MODES)}"])
    found = [
        f"{each['name']} {each['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'no version'}"
        for each in packages
        for flaw in each.get("vulns", [])
    ]
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    if len(skipped) == len(packages):
        reason = f" ({problem})" if problem else ""
        line = f"NOT AUDITED: the service for known vulnerabilities cannot be reached{reason}; no package was checked"
        return Verdict(is_passed=mode == "when-reachable", lines=[line])
    if skipped:
        found.append(f"not audited: {', '.join(skipped)}")
    return Verdict(is_passed=not found, lines=found or [f"{len(packages)} packages without a known vulnerability"])


def report() -> tuple[list[dict[str, Any]], str]:
    """Run pip-audit on the runtime lock; return what it reports of each package, and the last line of its output."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "report.json"
        options = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json")
        done = subprocess.run(  # noqa: S603 - our own lock
            [beside_python("pip-audit"), "--requirement", str(LOCK), *options, "--output", str(written)],
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        packages = json.loads(written.read_text())["dependencies"] if written.exists() else []
    return packages, (done.stderr.strip().splitlines() or [""])[-1]


def main(mode: str) -> int:
    """Print the verdict; return 0 if the step passes, otherwise 1."""
    packages, problem = report()
    judged = verdict(packages, mode, problem if not packages else "")
    for line in judged.lines:
        print(line, file=sys.stdout if judged.is_passed else sys.stderr)
    return 0 if judged.is_passed else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
