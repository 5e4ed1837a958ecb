"""Runs of the conformance kit as a broker's engineer starts it: a command, its exit code and its JSON report."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conformance.__main__ import main
from tests.conformance.mutants.processes import FORKS

QUICK = ("--repeat-after-s", "4", "--load-s", "4", "--idle-s", "2.5", "--races", "10", "--seed", "1")
"""Short waits, so that many runs are affordable. The mutants' own times fit these."""
_LIMIT_S = 600.0


@dataclass(frozen=True)
class KitRun:
    """What one run of the kit has found."""

    exit_code: int
    output: str
    """What it has printed to stdout."""
    complaints: str
    """What it has printed to stderr."""
    report: Mapping[str, object]
    """The JSON report; empty if there is none."""
    outcomes: Mapping[str, str]
    """By requirement: PASSED, FAILED or NOT_CHECKED."""
    reasons: Mapping[str, str]
    """By requirement: why it failed or was not checked."""
    elapsed_s: float

    @property
    def failed(self) -> frozenset[str]:
        """The requirements that failed."""
        return self.having("FAILED")

    @property
    def not_checked(self) -> frozenset[str]:
        """The requirements that were not checked."""
        return self.having("NOT_CHECKED")

    def having(self, outcome: str) -> frozenset[str]:
        """Return the requirements with this outcome."""
        return frozenset(each for each, found in self.outcomes.items() if found == outcome)


def simulator_options(url: str) -> tuple[str, ...]:
    """Return the options with which every requirement can be checked on the simulator, or on a mutant of it."""
    return (
        *("--company", "7"),
        *("--balance-url", f"{url}/simulator/accounts?thirdServerCode={{thirdServerCode}}"),
        *("--balance-pointer", "/accounts/0/balance"),
        *("--refused-metadata", '{"simulate":{"adjust":"reject"}}'),
        *("--slow-metadata", '{"simulate":{"adjust":"late","seconds":1.5}}'),
    )


def only(*requirements: str) -> tuple[str, ...]:
    """Return the options that check these requirements alone."""
    return tuple(part for each in sorted(requirements) for part in ("--only", each))


def run_kit(url: str, *options: str, limit_s: float = _LIMIT_S) -> KitRun:
    """Run the kit against a base URL, in a fork that has loaded it. Raises TimeoutError after `limit_s`."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="conformance-") as name:
        folder = Path(name)
        process = FORKS.Process(target=_kit, args=(folder, ["run", "--base-url", url, *options, "--report", name]))
        process.start()
        process.join(limit_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            message = f"the kit has not ended within {limit_s:g} s"
            raise TimeoutError(message)
        output, complaints = (folder / "stdout").read_text(), (folder / "stderr").read_text()
        report = _report(folder / "report.json")
    results = report.get("results", [])
    return KitRun(
        exit_code=process.exitcode,
        output=output,
        complaints=complaints,
        report=report,
        outcomes={each["id"]: each["outcome"] for each in results},
        reasons={each["id"]: each["reason"] for each in results},
        elapsed_s=time.monotonic() - started,
    )


def _kit(folder: Path, arguments: list[str]) -> None:
    """Become the command of the kit; its output goes into files in the folder."""
    for standard, name in ((1, "stdout"), (2, "stderr")):
        with (folder / name).open("wb") as file:
            os.dup2(file.fileno(), standard)
    sys.argv = ["settlement-conformance", *arguments]
    sys.exit(main())


def _report(file: Path) -> dict[str, list[dict[str, str]]]:
    read: dict[str, list[dict[str, str]]] = json.loads(file.read_text()) if file.exists() else {}
    return read
