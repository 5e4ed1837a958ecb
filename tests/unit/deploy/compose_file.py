"""docker-compose.yml and its overlays, as the tests of deployment read them."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "docker-compose.yml"
CLOUD = ROOT / "deploy/temporal-cloud.yml"
SYSTEMS = ROOT / "deploy/external-systems.yml"
PROXY = ROOT / "deploy/tls-proxy.yml"

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
JOBS = {"migrate", "temporal-namespace", "temporal-schema"}
LONG_RUNNING = sorted(SERVICES.keys() - JOBS)
OURS = ["api", "migrate", "simulator", "worker"]

VARIABLE = re.compile(r"\$\{(?P<name>[A-Z0-9_]+)(?::(?P<how>[-?])(?P<text>[^}]*))?\}")
SECRET = re.compile(r"PASSWORD|PASSWD|PWD|SECRET|TOKEN|API_KEY|SIGNING_KEY")


def variables(text: str) -> dict[str, tuple[str | None, str | None]]:
    """Return each interpolated variable with its operator ("-" default, "?" required) and the text after it."""
    uncommented = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return {each["name"]: (each["how"], each["text"]) for each in VARIABLE.finditer(uncommented)}


def resolved(text: str) -> str:
    """Return the text with every variable replaced by its default."""
    return VARIABLE.sub(lambda each: each["text"] if each["how"] == "-" else each[0], text)
