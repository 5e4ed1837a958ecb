"""Reads a settlement's state changes as events, numbered from 0 (the acceptance, ADJUSTING)."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from ledger import queries
from settlement.ids import SettlementId
from settlement.scope import EVERYTHING, Scope
from settlement.snapshot import SettlementEvent
from settlement.states import END_STATES, State, decision_of

EVENTS_MAX = 500
"""Maximum events in one read. A caller reads on after the last one."""

VERSIONS_MAX = 5000
"""Maximum settlements in one read of versions. Databases limit the parameters of one statement."""


@dataclass(frozen=True)
class NumberedEvent:
    """An event and its id within its settlement."""

    event_id: int
    event: SettlementEvent

    @property
    def is_last(self) -> bool:
        """Whether this is the last event of the settlement."""
        return self.event.state in END_STATES


@dataclass(frozen=True)
class Events:
    """The events after a given one, oldest first, and whether the settlement has ended."""

    events: tuple[NumberedEvent, ...]
    ended: bool


def read_events(
    connection: Connection, settlement_id: SettlementId, after: int, scope: Scope = EVERYTHING
) -> Events | None:
    """Return the events of a settlement with an id above `after` (-1 for all); None if the scope does not have it."""
    row = connection.execute(queries.settlements.last_change(settlement_id, scope)).first()
    if row is None:
        return None
    changes = connection.execute(queries.settlements.changes(settlement_id, after, EVENTS_MAX))
    # Of rows with one position the last one is valid.
    by_position = {change.position: change for change in changes.all()}
    found = [
        _event(settlement_id, position, State(change.state), change.at, change.reason)
        for position, change in by_position.items()
    ]
    if after < 0:
        found.insert(0, _event(settlement_id, 0, State.ADJUSTING, row.accepted_at, "accepted"))
    return Events(tuple(found), ended=State(row.state) in END_STATES)


def read_versions(connection: Connection, settlement_ids: Sequence[SettlementId]) -> dict[SettlementId, int]:
    """Return the versions of settlements by id. Unknown ids are left out.

    Raises ValueError for more than `VERSIONS_MAX` settlements.
    """
    if len(settlement_ids) > VERSIONS_MAX:
        message = f"at most {VERSIONS_MAX} settlements at once"
        raise ValueError(message)
    found = connection.execute(queries.settlements.versions(settlement_ids))
    return {row.settlement_id: row.version for row in found.all()}


def _event(settlement_id: SettlementId, event_id: int, state: State, at: object, reason: str) -> NumberedEvent:
    event = SettlementEvent.model_validate(
        {
            "system": settlement_id.system,
            "request_unique_no": settlement_id.number,
            "state": state,
            "decision": decision_of(state),
            "at": at,
            "reason": reason,
        }
    )
    return NumberedEvent(event_id, event)
