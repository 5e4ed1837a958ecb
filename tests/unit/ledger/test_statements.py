"""Every SQL statement of the product is in the query registry, whose plans `test_ledger_plans` checks.

The check reads the source code, so it also finds statements that no test executes.
"""

import ast
import inspect
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger import queries
from ledger.schema import OPEN
from settlement.states import END_STATES

ROOT = Path(__file__).parents[3]
PRODUCT = (
    "activities",
    "api",
    "bench",
    "cli",
    "config",
    "connector",
    "contract",
    "ledger",
    "schemas",
    "settlement",
    "stack",
    "workflows",
)
SOURCES = sorted(
    [
        ROOT / "worker.py",
        ROOT / "worker_systems.py",
        *itertools.chain(*((ROOT / part).rglob("*.py") for part in PRODUCT)),
    ]
)
TABLE = ROOT / "ledger" / "queries"
MIGRATIONS = ROOT / "ledger" / "migrations"

HARMLESS = {
    *(
        "ColumnElement",
        "Column",
        "Connection",
        "Delete",
        "Dialect",
        "Engine",
        "Insert",
        "Row",
        "Select",
        "Table",
        "URL",
        "Update",
    ),
    *("JSON", "BigInteger", "Boolean", "DateTime", "Float", "Integer", "String", "Text", "TypeDecorator"),
    *("ForeignKey", "Index", "MetaData", "and_", "case", "event", "literal", "make_url", "or_"),
}
"""What may be imported of SQLAlchemy anywhere: types, and parts of a condition, of which no statement can be built."""
ALSO = {
    "ledger/audit_tables.py": {"text"},
    "ledger/tables.py": {"text"},
    "ledger/schema.py": {"TextClause", "text"},
    "ledger/filters.py": {"TextClause"},
    "ledger/sqlite_engine.py": {"QueuePool", "create_engine"},
    "ledger/transactions.py": {"postgresql", "sqlite"},
    "ledger/migrations/env.py": {"*"},
}
"""What single modules may import beside: conditions of indexes and their type, an engine, the databases' own INSERT."""
HARMLESS_MODULES = {"sqlalchemy.exc", "sqlalchemy.ext.asyncio", "sqlalchemy.ext.compiler"}
FUNCTION_ELEMENT = {"ledger/filters.py": {"sqlalchemy.sql.compiler", "sqlalchemy.sql.functions"}}
DRIVERS = {"aiosqlite", "psycopg", "sqlite3"}
RAW = {"exec_driver_sql": {"ledger/migrate.py", "ledger/sqlite_engine.py"}, "select": set[str](), "delete": set[str]()}
"""Methods that execute text, or build a statement from a table, and where they may stand."""
NOT_ON_A_TABLE = {"session", "http", "api", "router"}
"""Objects with a method of such a name that knows no database."""


def statements_of(source: str, name: str) -> Iterator[str]:
    """Yield every place in a source that could build or execute a statement outside the registry."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (f"import {each.name}" for each in node.names if _is_database(each.name, name))
        elif isinstance(node, ast.ImportFrom) and node.module and _is_database(node.module, name):
            yield from _imported(node, name)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in RAW:
            owner = node.func.value
            known = isinstance(owner, ast.Name) and owner.id in NOT_ON_A_TABLE
            if not known and name not in RAW[node.func.attr]:
                yield f".{node.func.attr}() in line {node.lineno}"


def _is_database(module: str, name: str) -> bool:
    if module == "sqlite3" and name == "ledger/sqlite_engine.py":
        return False
    return module.partition(".")[0] in {"sqlalchemy", *DRIVERS}


def _imported(node: ast.ImportFrom, name: str) -> Iterator[str]:
    module = node.module or ""
    if module in HARMLESS_MODULES or module in FUNCTION_ELEMENT.get(name, set()):
        return
    allowed = HARMLESS | ALSO.get(name, set()) if module in {"sqlalchemy", "sqlalchemy.dialects"} else set()
    yield from (f"from {module} import {each.name}" for each in node.names if each.name not in allowed)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_statement_is_built_outside_the_registry(path: Path) -> None:
    if TABLE in path.parents or MIGRATIONS in path.parents:
        return
    assert list(statements_of(path.read_text(), str(path.relative_to(ROOT)))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import sqlalchemy",
        "import sqlalchemy as sa",
        "import sqlite3",
        "from sqlalchemy import select",
        "from sqlalchemy import func, Row",
        "from sqlalchemy import text",
        "from sqlalchemy import sql",
        "from sqlalchemy.sql import select",
        "from sqlalchemy.sql.expression import select as chosen",
        "from sqlalchemy.orm import Session",
        "from psycopg import AsyncConnection",
        "settlements.select()",
        "tables.findings.delete()",
        "await connection.exec_driver_sql('SELECT 1')",
    ],
)
def test_a_statement_outside_the_registry_is_detected(source: str) -> None:
    """Proves that the check can fail."""
    wrapped = f"async def work():\n    {source}"
    assert list(statements_of(wrapped, "api/metrics.py"))


def test_every_query_function_is_registered() -> None:
    """A function without samples would have no checked plan."""
    modules = [module for _, module in inspect.getmembers(queries, inspect.ismodule) if module is not queries.table]
    assert {f"{path.stem}" for path in TABLE.glob("*.py")} == {
        "__init__",
        "table",
        *(module.__name__.rpartition(".")[2] for module in modules),
    }
    public = {
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }
    assert public == set(queries.QUERIES)


def test_the_condition_of_the_partial_index_covers_every_open_state() -> None:
    """The condition is a fixed text: a new end state must be added to it."""
    assert str(OPEN) == f"state NOT IN ({', '.join(repr(state.value) for state in sorted(END_STATES))})"
