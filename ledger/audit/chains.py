"""Finds what was changed, deleted or inserted in the audit of one settlement. Pure functions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from ledger.chain import NO_HASH, hash_of_acceptance, hash_of_row
from settlement.states import State

Values = Mapping[str, Any]
Entry = tuple[str, Values]
"""A row of the audit, with the name of its table."""


class FaultKind(StrEnum):
    """What happened to a row after the ledger had written it."""

    CHANGED = "changed"
    DELETED = "deleted"
    INSERTED = "inserted"


class Fault(NamedTuple):
    """A row that is not as the ledger has written it."""

    settlement: str
    """The settlement's id as text; the day of an anchor for a fault of the anchor; empty for a security event."""
    table: str
    chain_position: int | None
    """Position in the chain of the settlement, from 1, or the id of the event; None for the settlement's own row."""
    kind: FaultKind
    detail: str


def faults_of(settlement: Values, entries: Iterable[Entry]) -> Iterator[Fault]:
    """Yield what is wrong with a settlement's row and the rows of its audit, in order of the chain.

    A changed row whose hash was computed anew is found as a change of the row behind it, or of the end of the chain.
    """
    name = str(settlement["settlement_id"])
    if not _has_its_hash(settlement):
        yield Fault(name, "settlements", None, FaultKind.CHANGED, "the accepted order does not have its hash")
    chain = sorted(entries, key=lambda entry: (entry[1]["chain_position"], entry[0]))
    yield from _faults_of_chain(name, settlement["chain_length"], settlement["chain_head"], chain)
    yield from _fault_of_state(name, settlement, chain)


def _has_its_hash(settlement: Values) -> bool:
    try:
        return bool(hash_of_acceptance(settlement) == settlement["acceptance_hash"])
    except (KeyError, TypeError, AttributeError):
        return False  # the order is no order any more


def _faults_of_chain(name: str, length: int, head: str, chain: Sequence[Entry]) -> Iterator[Fault]:
    previous: str | None = NO_HASH
    position = 0
    for table, row in chain:
        place = row["chain_position"]
        if place <= position or place > length:
            why = "another row has its position" if 0 < place <= length else "the chain does not have this position"
            yield Fault(name, table, place, FaultKind.INSERTED, why)
            continue
        yield from _deleted(name, position, place)
        if place > position + 1:
            previous = None
        if previous is not None and hash_of_row(table, row, previous) != row["row_hash"]:
            why = "its content, or the hash of the row before it, does not have its hash"
            yield Fault(name, table, place, FaultKind.CHANGED, why)
        previous, position = row["row_hash"], place
    yield from _deleted(name, position, length + 1)
    if position == length and previous != head:
        yield Fault(
            name, "settlements", None, FaultKind.CHANGED, "the end of the chain is not the hash of its last row"
        )


def _deleted(name: str, last: int, following: int) -> Iterator[Fault]:
    """Yield one fault for all positions between two rows, because somebody may have changed the length to anything."""
    if following > last + 1:
        where = "this position" if following == last + 2 else f"the positions {last + 1} to {following - 1}"
        yield Fault(name, "", last + 1, FaultKind.DELETED, f"the chain has no row at {where}")


def _fault_of_state(name: str, settlement: Values, chain: Sequence[Entry]) -> Iterator[Fault]:
    """Yield the state of the settlement's row if it is not that of its last state change."""
    changes = [row for table, row in chain if table == "state_changes"]
    last = max(changes, key=lambda row: (row["position"], row["chain_position"]), default=None)
    if last is not None:
        expected = last["state"]
    elif settlement["recorded_state_changes"] == 0 and settlement["version"] == 0:
        expected = State.ADJUSTING.value
    else:
        return
    if settlement["state"] != expected:
        why = f"its state is {settlement['state']}, and the last state change in its audit is {expected}"
        yield Fault(name, "settlements", None, FaultKind.CHANGED, why)
