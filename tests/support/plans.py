"""How a database would execute a statement, and what in that would read a whole table that grows."""

import json
import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Delete, Insert, Select, Update
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.external_system_tables import breaker_reports, paused_systems
from ledger.schema import metadata
from ledger.tables import finding_counts, temporal_home

Statement = Select[Any] | Insert | Update | Delete
Plan = list[str] | dict[str, Any]

SMALL = {breaker_reports.name, finding_counts.name, paused_systems.name, temporal_home.name}
GROWING = {table.name for table in metadata.sorted_tables} - SMALL
BOUNDED = {
    "ix_settlements_open",
    "ix_settlements_in_doubt",
    "uq_findings_open",
    "uq_api_keys_active",
    "ix_api_keys_active",
    "ix_batches_running",
    "ix_batch_items_pending",
    "uq_broker_statements_unfinished",
}
"""Partial indexes of what is open or active: they may be read whole, because such rows do not pile up."""
LITTLE_IS_LATER = {"ix_take_up_allowances_expires_at_allowance_id"}
"""Indexes by a moment, of which little lies in the future: a range from now on is short."""
OF_THE_CONDITION = {"ix_api_keys_revoked"}
"""Partial indexes of many rows, in order, whose condition is all that their query asks for: it stops at its limit."""

COMMON = 2_000
"""Of the rows under test so many, estimated, fulfil a condition: a walk in order soon fills a page with them."""


async def plan_of(connection: AsyncConnection, statement: Statement) -> Plan:
    """Return the plan: SQLite's lines, or PostgreSQL's tree. The statement is not executed."""
    compiled = statement.compile(connection.sync_connection, compile_kwargs={"render_postcompile": True})
    if connection.dialect.name == "sqlite":
        values = [compiled.construct_params()[name] for name in compiled.positiontup or ()]
        processors = compiled._bind_processors  # noqa: SLF001 - SQLAlchemy has no other name for it
        bound = [
            # A list in a condition has one processor; its elements have the name of the list and their position.
            processor(value) if callable(processor := processors.get(name, processors.get(name[:-2]))) else value
            for name, value in zip(compiled.positiontup or (), values, strict=True)
        ]
        lines = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", tuple(bound))
        return [str(line[-1]) for line in lines.all()]
    literal = statement.compile(connection.sync_connection, compile_kwargs={"literal_binds": True})
    tree = (await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {str(literal).replace('%', '%%')}")).scalar_one()
    found: dict[str, Any] = (json.loads(tree) if isinstance(tree, str) else tree)[0]["Plan"]
    return found


def faults(plan: Plan, statement: Statement) -> list[str]:
    """Return what in a plan reads more of a growing table than the statement is about; empty: nothing does."""
    if isinstance(plan, list):
        return [line for line in plan if _reads_too_much(line, statement)]
    return [fault for node in _nodes(plan, limited=False) if (fault := _fault(*node))]


def _reads_too_much(line: str, statement: Statement) -> bool:
    """Judge one line of SQLite's plan."""
    limited = isinstance(statement, Select) and statement._limit_clause is not None  # noqa: SLF001 - SQLAlchemy has no other name for it
    has_condition = getattr(statement, "whereclause", None) is not None
    if "USE TEMP B-TREE FOR ORDER BY" in line:
        return limited and has_condition and not _sorts_few(statement)
    found = re.match(r"(SCAN|SEARCH) (\w+)(?: USING (?:COVERING )?(?:INDEX|INTEGER PRIMARY KEY) ?(\w*))?(.*)", line)
    if found is None or found[2] not in GROWING:
        return False
    if found[1] == "SCAN":
        return found[3] not in BOUNDED and not (limited and (found[3] in OF_THE_CONDITION or not has_condition))
    # A range alone leads to nearly everything, where the statement asks for equal values too.
    asks_for_equal = re.search(r"(?<![<>])= \S", str(statement.whereclause)) if has_condition else None  # type: ignore[union-attr] # every statement with a condition has one
    return (
        bool(asks_for_equal)
        and found[3] not in BOUNDED | LITTLE_IS_LATER
        and "=?" not in found[4]
        and "rowid" not in found[4]
    )


def _sorts_few(statement: Statement) -> bool:
    where = str(getattr(statement, "whereclause", ""))
    return "order_id" in where or "request_unique_no" in where


def _nodes(node: dict[str, Any], *, limited: bool) -> Iterator[tuple[dict[str, Any], bool]]:
    yield node, limited
    below = limited or node["Node Type"] == "Limit"
    for child in node.get("Plans", ()):
        yield from _nodes(child, limited=below)


def _fault(node: dict[str, Any], limited: bool) -> str | None:  # noqa: FBT001 - spread from a pair
    """Judge one node of PostgreSQL's plan."""
    kind, table, index = node["Node Type"], node.get("Relation Name"), node.get("Index Name")
    if kind == "Seq Scan" and table in GROWING:
        return f"Seq Scan on {table}"
    walks = kind in {"Index Scan", "Index Only Scan", "Bitmap Index Scan"} and "Index Cond" not in node
    soon_full = limited and ("Filter" not in node or node["Plan Rows"] >= COMMON)
    if walks and index not in BOUNDED and not soon_full:
        return f"{kind} over the whole of {index}: {node.get('Filter')}"
    return None
