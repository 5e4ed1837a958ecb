"""Workflows import only declarations from `activities`: no change of an activity can break an open settlement."""

import ast
import importlib
from pathlib import Path

import pytest

import workflows

ROOT = Path(workflows.__file__).parents[1]


def imports_of(module: Path) -> set[str]:
    """Return the dotted names of the modules that a module imports from."""
    nodes = list(ast.walk(ast.parse(module.read_text())))
    named = {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    return named | {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}


def replayed_modules() -> list[Path]:
    """Return the modules of `workflows` that a replay runs: those that define a workflow, and what they import.

    Modules that start workflows or read their histories are not among them.
    """
    every = sorted((ROOT / "workflows").rglob("*.py"))
    found = [path for path in every if "@workflow.defn" in path.read_text()]
    for path in found:
        imported = (ROOT / f"{name.replace('.', '/')}.py" for name in sorted(imports_of(path)))
        found += [each for each in imported if each in every and each not in found]
    return found


MODULES = replayed_modules()


def imported_from_activities(module: Path) -> list[tuple[str, str]]:
    """Return (module, name) of everything that a module imports from `activities`."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "activities":
            found += [(str(node.module), alias.name) for alias in node.names]
        if isinstance(node, ast.Import):
            found += [(alias.name, "*") for alias in node.names if alias.name.split(".")[0] == "activities"]
    return found


def declares_an_activity(module: str, name: str) -> bool:
    """Return whether a name is a class with an activity. A workflow needs only the activity's name and types."""
    imported = getattr(importlib.import_module(module), name, None)
    return isinstance(imported, type) and any(
        hasattr(member, "__temporal_activity_definition") for member in vars(imported).values()
    )


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_a_workflow_imports_only_declarations_from_activities(module: Path) -> None:
    others = [each for each in imported_from_activities(module) if not declares_an_activity(*each)]
    assert others == []


def test_a_wrong_import_is_detected() -> None:
    assert {"order_settlement.py", "adjust.py", "journal.py", "lost_calls.py", "workflow.py"} <= {
        path.name for path in MODULES
    }
    assert ("activities.adjust", "Adjust") in imported_from_activities(Path(workflows.__file__).with_name("adjust.py"))
    assert not declares_an_activity("activities.metrics", "count_call")
