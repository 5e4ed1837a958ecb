"""Queries on paused external systems and the operator actions on them."""

from typing import Any

from sqlalchemy import Delete, Select, bindparam, delete, select

from ledger.external_system_tables import paused_systems, system_actions
from ledger.queries.table import registered


@registered(())
def pause() -> Select[Any]:
    """Return the pause of the system `paused_system`, a parameter, if it is paused.

    The statement is the same for all systems, so it can be built once.
    """
    columns = paused_systems.c
    return select(paused_systems).where(columns.system == bindparam("paused_system", "alpha", columns.system.type))


@registered(())
def pauses() -> Select[Any]:
    """Return every pause; there is at most one for each system."""
    return select(paused_systems)


@registered(("alpha",))
def end_pause(system: str) -> Delete:
    """Delete the pause of a system. Add `returning` to learn whether it was paused."""
    return delete(paused_systems).where(paused_systems.c.system == system)


@registered(("alpha", 50))
def actions(system: str, limit: int) -> Select[Any]:
    """Return the operator actions on a system, newest first."""
    columns = system_actions.c
    return select(system_actions).where(columns.system == system).order_by(columns.action_id.desc()).limit(limit)
