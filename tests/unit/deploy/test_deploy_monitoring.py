"""Alert rules and dashboard: what a person gets at night is complete, and the rules do what their tests say.

That every metric they name exists is checked against a real scrape, in tests/e2e.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.monitoring import CONFIG, DASHBOARD, ROOT, RULE_TESTS, RULES, Question, panels, questions, rules
from tests.support.promql import selected

RUNBOOK = "docs/operations.md"
SEVERITIES = {"page", "ticket"}
ABOUT_CASES = {
    "SettlementAborted",
    "SettlementCancellingTooOld",
    "SettlementMoneyInDoubtGrowing",
    "SettlementFindingsOpen",
    "SettlementWorkflowsLost",
}
"""Alerts about single settlements; they also say where to find the list of them."""
GRID_WIDTH = 24

ALERTS = {rule["alert"]: rule for rule in rules()}


@pytest.fixture(scope="module")
def promtool() -> str:
    """Return the path of promtool. It may be missing only outside CI: `make test` installs it if possible."""
    found = shutil.which("promtool")
    if found is None and not os.environ.get("CI"):
        pytest.skip("promtool is not installed (Debian: prometheus)")
    assert found is not None, "promtool is missing"
    return found


def run(promtool: str, *arguments: str, folder: Path = RULES.parent) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own files
        [promtool, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def test_promtool_accepts_rules_and_configuration(promtool: str) -> None:
    for arguments in (("check", "rules", RULES.name), ("check", "config", "--syntax-only", CONFIG.name)):
        checked = run(promtool, *arguments)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_rules_pass_their_tests(promtool: str) -> None:
    tested = run(promtool, "test", "rules", RULE_TESTS.name)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_rule_tests_fail_for_a_changed_rule(promtool: str, tmp_path: Path) -> None:
    changed = RULES.read_text().replace('settlement_open{state="ABORTED"}', 'settlement_open{state="SETTLED"}')
    (tmp_path / RULES.name).write_text(changed)
    (tmp_path / RULE_TESTS.name).write_text(RULE_TESTS.read_text())
    assert run(promtool, "test", "rules", RULE_TESTS.name, folder=tmp_path).returncode != 0


def test_every_alert_that_pages_has_a_rule_test() -> None:
    tested = RULE_TESTS.read_text().replace(
        "Settlement(Worker|Api)Absent", "SettlementWorkerAbsent SettlementApiAbsent"
    )
    pages = {name for name, rule in ALERTS.items() if rule["labels"]["severity"] == "page"}
    assert {name for name in pages if name not in tested} == set()


@pytest.mark.parametrize("name", ALERTS)
def test_alert_has_summary_description_and_runbook(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"] == {"severity": rule["labels"]["severity"]}
    assert rule["labels"]["severity"] in SEVERITIES
    cases = {"cases"} if name in ABOUT_CASES else set()
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"} | cases
    docs = "{{ with $externalLabels.settlement_docs }}{{ . }}{{ else }}docs{{ end }}"
    assert rule["annotations"]["runbook_url"] == f"{docs}/operations.md#{name.lower()}"
    assert len(re.sub(r"\{\{.*\}\}", "12345678901.23", rule["annotations"]["summary"])) <= 120
    assert rule["annotations"]["description"].endswith(".") or rule["annotations"]["description"].endswith(")")


def test_configuration_sets_the_targets_of_links_and_removes_them_from_labels() -> None:
    config = yaml.safe_load(CONFIG.read_text())
    used = set(re.findall(r"\$externalLabels\.(\w+)", RULES.read_text()))
    assert set(config["global"]["external_labels"]) == used
    [dropped] = config["alerting"]["alert_relabel_configs"]
    assert dropped["action"] == "labeldrop"
    assert all(re.fullmatch(dropped["regex"], label) for label in used)


def test_names_of_alerts_are_unique() -> None:
    assert len(ALERTS) == len(rules())


def test_runbook_has_a_section_for_every_alert() -> None:
    headings = re.findall(r"^#+ (\S+)\s*$", (ROOT / RUNBOOK).read_text(), re.MULTILINE)
    assert set(ALERTS) <= set(headings)


@pytest.mark.parametrize("question", list(questions()), ids=lambda question: question.asked_by)
def test_texts_use_only_labels_that_the_expression_keeps(question: Question) -> None:
    """Prometheus shows any other label as an empty text."""
    assert set(question.texts) <= selected(question.expression).labels | {"instance"}


def test_jobs_have_the_names_that_rules_and_panels_use() -> None:
    jobs = {job["job_name"] for job in yaml.safe_load(CONFIG.read_text())["scrape_configs"]}
    used = {job for question in questions() for job in re.findall(r'job="([^"]+)"', question.expression)}
    assert used
    assert used <= jobs


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_panel_has_description_unit_and_the_selected_datasource(panel: dict[str, Any]) -> None:
    assert panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    for asked in (panel, *panel["targets"]):
        assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_panels_have_unique_names_and_positions() -> None:
    whole = json.loads(DASHBOARD.read_text())
    taken: set[tuple[int, int]] = set()
    for panel in whole["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= GRID_WIDTH
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in whole["panels"]}) == len(whole["panels"])
    assert len({panel["title"] for panel in whole["panels"]}) == len(whole["panels"])
    assert [each["name"] for each in whole["templating"]["list"]] == ["datasource"]
