"""The Dockerfile and the content of the image."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
DEVELOPMENT = {"bench", "simulator", "stack", "tests"}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
INSTRUCTIONS = re.sub(r"\\\n", " ", "\n".join(line for line in DOCKERFILE.splitlines() if not line.startswith("#")))
STAGES = {
    each["name"]: each[0]
    for each in re.finditer(
        r"^FROM \S+ AS (?P<name>\w+)\n(?s:.*?)(?=^FROM |\Z)", INSTRUCTIONS + "\n", flags=re.MULTILINE
    )
}
FINAL = STAGES["runtime"] + STAGES["production"]


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(  # noqa: S603 - our own lint, our own file
        [hadolint, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_base_image_is_pinned_and_a_digest_can_be_given() -> None:
    bases = re.findall(r"^FROM (\S+)", INSTRUCTIONS, re.MULTILINE)
    assert bases == ["${BASE}", "base", "base", "runtime", "runtime"]
    default = re.search(r"^ARG BASE=(\S+)$", INSTRUCTIONS, re.MULTILINE)
    assert default
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", default[1])


def test_default_image_has_no_simulator() -> None:
    """The last stage is what `docker build` makes without a target."""
    assert list(STAGES)[-1] == "production"
    assert STAGES["production"].strip() == "FROM runtime AS production"
    assert "simulator" not in STAGES["runtime"]


def test_process_is_not_root_and_receives_signals() -> None:
    user = re.search(r"^USER (\d+):(\d+)$", FINAL, re.MULTILINE)
    assert user
    assert "0" not in user.groups()
    assert re.search(r'^ENTRYPOINT \["python", "-m"\]$', FINAL, re.MULTILINE), "the exec form: no shell takes SIGTERM"
    assert "PYTHONUNBUFFERED=1" in FINAL


def test_nothing_is_installed_without_a_hash() -> None:
    """Except the project's own wheel, which is built from this source and not loaded from an index."""
    installs = re.findall(r"pip [^&\n]*?(?:install|wheel) [^&\n]*", INSTRUCTIONS)
    assert len(installs) == 4
    for install in installs:
        hashed = "--require-hashes" in install and "--only-binary :all:" in install
        assert hashed or ("--no-index" in install and "--no-deps" in install), install


def test_build_backend_is_installed_from_the_lock() -> None:
    """The filter in the Dockerfile names hatchling and all its dependencies, and the lock contains them."""
    keep = re.search(r"keep = /\^\(([a-z|-]+)\)==/", DOCKERFILE)
    assert keep
    named, wanted = set(keep[1].split("|")), ["hatchling"]
    for name in wanted:
        needed = [Requirement(each) for each in requires(name) or []]
        wanted += [
            canonicalize_name(each.name)
            for each in needed
            if each.marker is None or each.marker.evaluate({"extra": ""})
        ]
    assert named == set(wanted)
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements/dev.txt").read_text(), re.MULTILINE)
    assert named <= set(locked)


def test_build_context_contains_only_the_sources() -> None:
    """.dockerignore allows the sources of the wheel; secrets and state directories are excluded."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    let_in = {line[1:].rstrip("/") for line in lines if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert not DEVELOPMENT & set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"])
    packages = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"])
    build_files = {"pyproject.toml", project["project"]["readme"], "LICENSE", "requirements", "simulator"}
    assert let_in == packages | build_files | {"deploy/worker_healthcheck.py"}
