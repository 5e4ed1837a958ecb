"""The memory of which cancels are to misbehave, and how often still. Kept by the adjust's number."""

import sqlite3

from simulator.database import one, transaction
from simulator.faults import CancelFault, Simulation


class CancelFaults:
    """One fault per adjust number; the first request that names one fixes it for good."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def remember(self, number: str, simulation: Simulation) -> None:
        """Keep the cancel fault asked for, if any. Repeating it changes nothing: the count goes on."""
        if simulation.cancel is None:
            return
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO cancel_faults (number, fault, remaining) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (number, simulation.cancel, simulation.times),
            )

    def take(self, number: str) -> CancelFault | None:
        """Return the fault that this cancel request shall show, and count it; None when it behaves."""
        with transaction(self._db):
            row = one(
                self._db,
                "UPDATE cancel_faults SET remaining = remaining - 1 "
                "WHERE number = ? AND (remaining IS NULL OR remaining > 0) RETURNING fault",
                number,
            )
        return CancelFault(row["fault"]) if row else None
