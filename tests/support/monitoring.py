"""The rules and panels of this repository, as what they ask of Prometheus."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.promql import templates

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/alerts.yml"
RULE_TESTS = ROOT / "deploy/prometheus/alerts_test.yml"
CONFIG = ROOT / "deploy/prometheus/prometheus.yml"
DASHBOARD = ROOT / "deploy/grafana/settlement.json"


@dataclass(frozen=True)
class Question:
    """One expression, whose it is, and the labels that the text around it puts in."""

    asked_by: str
    expression: str
    texts: tuple[str, ...]


def rules() -> list[dict[str, Any]]:
    """Return every alert rule."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Return every panel that shows something."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def questions() -> Iterator[Question]:
    """Yield every expression of rules and panels."""
    for rule in rules():
        texts = " ".join(rule["annotations"].values())
        yield Question(rule["alert"], rule["expr"], tuple(templates(texts)))
    for panel in panels():
        for target in panel["targets"]:
            yield Question(panel["title"], target["expr"], tuple(templates(target["legendFormat"])))
