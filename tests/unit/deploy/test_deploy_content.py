"""What is in the wheel and in the runtime lock: nothing of the simulator, of `stack`, or of the development tools."""

import csv
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.audit import verdict
from tests.support.bill_of_materials import LICENCES, SBOM, WrongVersionError, locked, runtime_metadata, write

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PRODUCTION = {
    "conformance",
    "activities",
    "api",
    "cli",
    "config",
    "connector",
    "contract",
    "encryption",
    "ledger",
    "schemas",
    "settlement",
    "workflows",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as the Dockerfile does."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder))
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(ROOT)], check=True, timeout=120)  # noqa: S603 - ours
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_has_exactly_the_packages_of_production(wheel: Path) -> None:
    top = {name.partition("/")[0] for name in ZipFile(wheel).namelist()}
    modules = {name for name in top if name.endswith(".py")}
    assert {name for name in top - modules if not name.endswith(".dist-info")} == PRODUCTION
    assert modules == {"one_process.py", "rehearsal.py", "worker.py", "worker_systems.py"}


def test_wheel_runs_without_the_source_tree(wheel: Path, tmp_path: Path) -> None:
    """Each process can be imported from the wheel alone, and so can the command line."""
    modules = ("api.__main__", "worker", "ledger.migrate", "rehearsal", "one_process", "cli.__main__", "api.first_key")
    # The development environment has the source tree on its path; without it only the wheel is left.
    program = (
        "import importlib, sys; root, wheel, *names = sys.argv[1:]\n"
        "sys.path[:] = [wheel, *(each for each in sys.path if each not in ('', root))]\n"
        "loaded = [importlib.import_module(name) for name in names]\n"
        "assert all(each.__file__.startswith(wheel) for each in loaded), loaded"
    )
    unpacked = tmp_path / "site"
    ZipFile(wheel).extractall(unpacked)
    command = [sys.executable, "-P", "-c", program, str(ROOT), str(unpacked), *modules]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603 - ours
    assert done.returncode == 0, done.stderr


def names(requirements: Sequence[object]) -> set[str]:
    """Return the names in a list of requirements, without the groups that it includes."""
    return {canonicalize_name(Requirement(each).name) for each in requirements if isinstance(each, str)}


def test_runtime_lock_has_no_development_tool() -> None:
    groups = PROJECT["dependency-groups"]
    development = names(groups["dev"]) | names(groups["embedded"])
    runtime = {canonicalize_name(name) for name in re.findall(r"^([a-z0-9-]+)==", lock_text("runtime"), re.MULTILINE)}
    assert names(PROJECT["project"]["dependencies"]) <= runtime
    assert runtime & development == set()
    assert [name for name in runtime if name.endswith("-bin")] == []


def lock_text(name: str) -> str:
    return (ROOT / f"requirements/{name}.txt").read_text()


def test_bill_of_materials_names_the_locked_packages_and_is_reproducible(tmp_path: Path) -> None:
    for run in ("first", "second"):
        write(tmp_path / run)
    for file in (SBOM, LICENCES):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
    bill = json.loads((tmp_path / "first" / SBOM).read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == PROJECT["project"]["name"]
    assert {canonicalize_name(each["name"]): each["version"] for each in bill["components"]} == locked()
    with (tmp_path / "first" / LICENCES).open() as licences:
        rows = list(csv.DictReader(licences))
    assert {canonicalize_name(row["Name"]): row["Version"] for row in rows} == locked()
    assert [row["Name"] for row in rows if row["License"] in {"", "UNKNOWN"}] == []


def test_bill_of_materials_is_never_of_another_version(tmp_path: Path) -> None:
    with pytest.raises(WrongVersionError, match=r"fastapi .* is installed, 0\.1 is locked"):
        runtime_metadata(tmp_path / "environment", {"fastapi": "0.1"})


CLEAN = {"name": "a", "version": "1", "vulns": []}
FLAWED = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "mode", "is_passed", "said"),
    [
        ([CLEAN], "required", True, "1 packages without a known vulnerability"),
        ([CLEAN, FLAWED], "required", False, "b 2: CVE-1, fixed in 3"),
        ([CLEAN, FLAWED], "when-reachable", False, "b 2: CVE-1, fixed in 3"),
        ([SKIPPED], "required", False, "NOT AUDITED"),
        ([SKIPPED], "when-reachable", True, "NOT AUDITED"),
        ([], "required", False, "NOT AUDITED"),
        ([], "when-reachable", True, "NOT AUDITED"),
        ([CLEAN, SKIPPED], "when-reachable", False, "not audited: c"),
        ([CLEAN], "off", False, "AUDIT must be required or when-reachable"),
    ],
)
def test_audit_never_passes_in_silence(
    packages: list[dict[str, object]], mode: str, said: str, *, is_passed: bool
) -> None:
    """pip-audit itself exits with 0 if its service knows none of the packages."""
    judged = verdict(packages, mode)
    assert judged.is_passed is is_passed
    assert said in judged.lines[0]
