"""The bill of materials (CycloneDX) and the licences of what the image installs: `.ci/sbom`.

Both tools describe an environment. The development environment has the runtime's packages in the same versions, so a
copy of the metadata of exactly these packages is an environment without the development tools. No network is needed.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests.support.binaries import beside_python

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements/runtime.txt"
SBOM, LICENCES = "sbom.cdx.json", "licences.csv"


class WrongVersionError(Exception):
    """The development environment has another version of a runtime package than the lock."""


def locked(lock: Path = LOCK) -> dict[str, str]:
    """Return the version of each package that the lock installs here, by name."""
    lines = re.findall(r"^([a-z0-9][^\\\n]*)", lock.read_text(), re.MULTILINE)
    wanted = [Requirement(line.strip()) for line in lines]
    return {each.name: str(each.specifier)[2:] for each in wanted if not each.marker or each.marker.evaluate()}


def runtime_metadata(folder: Path, packages: dict[str, str]) -> Path:
    """Make an environment that has only the metadata of `packages`; return its Python.

    Raises WrongVersionError, and PackageNotFoundError for a package that is not installed.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for name, version in packages.items():
        found = distribution(name)
        if found.version != version:
            message = f"{name} {found.version} is installed, {version} is locked; make .venv anew"
            raise WrongVersionError(message)
        metadata = _metadata(found)
        shutil.copytree(metadata, site / metadata.name)
    return folder / "bin/python"


def _metadata(found: Distribution) -> Path:
    for file in found.files or []:
        if file.name == "METADATA" and file.parent.suffix == ".dist-info":
            return Path(str(found.locate_file(file.parent)))
    message = f"{found.name} has no dist-info"
    raise WrongVersionError(message)


def write(folder: Path) -> None:
    """Write both files into a folder, which is created if it is missing. Equal locks give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        python = runtime_metadata(Path(home) / "runtime", locked())
        _run(
            "cyclonedx-py", "environment", "--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible",
            "--spec-version", "1.6", "--output-format", "JSON", "--output-file", str(folder / SBOM), str(python),
        )  # fmt: skip
        _run(
            "pip-licenses", "--python", str(python), "--from", "mixed", "--format", "csv", "--order", "name",
            "--with-urls", "--output-file", str(folder / LICENCES),
        )  # fmt: skip


def _run(program: str, *arguments: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    subprocess.run([beside_python(program), *arguments], check=True, capture_output=True, env=environment)  # noqa: S603 - our own


def main(folder: str) -> None:
    """Write both files and say where they are."""
    write(Path(folder))
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    print(f"{folder}/{SBOM} and {folder}/{LICENCES} of {version}: {len(locked())} packages")  # noqa: T201 - the result


if __name__ == "__main__":
    main(sys.argv[1])
