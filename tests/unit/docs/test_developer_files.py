"""Hooks, templates and `make help` fit the project: each hook is a check of CI, each form asks what it must."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
CHECKS = re.findall(r"^([a-z]+)\(\) \{$", (ROOT / ".ci/check").read_text(), re.MULTILINE)
FORMS = [form for form in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if form.name != "config.yml"]
IGNORE = re.compile(
    r"# (?:ruff: )?noqa\b(?!: [A-Z]+\d+(?:, [A-Z]+\d+)* - \S)|# type: ignore\b(?!\[[a-z-]+(?:, ?[a-z-]+)*\]  ?# \S)"
)


def hooks() -> list[dict[str, Any]]:
    """Return every hook of the pre-commit configuration."""
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    found: list[dict[str, Any]] = repository["hooks"]
    return found


def test_pre_commit_reads_its_configuration() -> None:
    command = [str(Path(sys.executable).parent / "pre-commit"), "validate-config", ".pre-commit-config.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own file
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_each_check_of_ci_is_a_hook_and_no_hook_is_downloaded() -> None:
    assert [hook["entry"] for hook in hooks()] == [f".ci/check {check}" for check in CHECKS]
    assert {hook["language"] for hook in hooks()} == {"system"}


def test_a_check_that_does_not_exist_is_an_error() -> None:
    """A hook with a misspelt check must not pass."""
    done = subprocess.run([str(ROOT / ".ci/check"), "styles"], capture_output=True, text=True, check=False)  # noqa: S603 - our own script
    assert (done.returncode, done.stderr) == (2, "no such check: styles\n")


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_issue_form_has_what_github_asks_for(form: Path) -> None:
    content = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= content.keys()
    questions = [each for each in content["body"] if each["type"] != "markdown"]
    ids = [each["id"] for each in questions]
    assert len(ids) == len(set(ids))
    assert all(each["attributes"]["label"] for each in questions if each["type"] != "checkboxes")
    assert {each["type"] for each in questions} <= {"checkboxes", "dropdown", "input", "textarea"}
    options = [option for each in questions for option in each["attributes"].get("options", [])]
    assert all(isinstance(option, str | dict) for option in options), "a bare yes or no is a boolean in YAML"


def test_whoever_reports_a_fault_says_whether_money_is_at_risk() -> None:
    bug = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text())
    (money,) = [each for each in bug["body"] if each.get("id") == "money"]
    assert money["validations"]["required"]


def test_make_help_shows_every_command_in_a_group() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607 - as everybody runs it
    assert sorted(re.findall(r"^  make (\w+)", shown, re.MULTILINE)) == sorted(phony.split())
    assert re.findall(r"^\w+$", shown, re.MULTILINE) == ["Run", "Prove", "Develop"]


def test_each_ignored_rule_has_its_reason() -> None:
    files = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607 - any git
    without = [
        f"{file}:{number}"
        for file in files.splitlines()
        if file != str(Path(__file__).relative_to(ROOT))
        for number, line in enumerate((ROOT / file).read_text().splitlines(), 1)
        if IGNORE.search(line)
    ]
    assert without == []
