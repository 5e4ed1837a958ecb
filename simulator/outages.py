"""Outages of the whole broker or of one company, switched on and off by PUT /simulator/outage."""

import sqlite3
from enum import StrEnum

from pydantic import Field

from contract.fields import Int64
from contract.model import Model
from simulator.database import every, transaction
from simulator.faults import Effect, Manner, Plan

_EVERYBODY = ""


class OutageMode(StrEnum):
    """How an outage looks to a client. The books learn of nothing while it lasts."""

    OFF = "off"
    REFUSE = "refuse"
    """The connection is reset before any reply."""
    HTTP_500 = "http_500"
    HANG = "hang"
    """No reply ever."""


PLANS: dict[OutageMode, Plan] = {
    OutageMode.REFUSE: Plan(Effect.IGNORE, Manner.RESET),
    OutageMode.HTTP_500: Plan(Effect.IGNORE, Manner.HTTP_500),
    OutageMode.HANG: Plan(Effect.IGNORE, Manner.HANG),
}


class Outage(Model):
    """One outage: of one company (the header `companyId`), or of everything where none is named."""

    mode: OutageMode
    company_id: Int64 | None = Field(default=None, strict=True)


class Outages:
    """The outages under way. One of a company goes before one of everything."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def put(self, outage: Outage) -> None:
        """Begin, change or end an outage. Repeating it changes nothing; "off" for nobody in particular ends all."""
        company = _EVERYBODY if outage.company_id is None else str(outage.company_id)
        with transaction(self._db):
            if outage.mode is OutageMode.OFF:
                self._db.execute("DELETE FROM outages WHERE company = ? OR ? = ''", (company, company))
            else:
                self._db.execute("REPLACE INTO outages (company, mode) VALUES (?, ?)", (company, outage.mode))

    def under_way(self) -> list[Outage]:
        """Return every outage under way, at most 1,000."""
        rows = every(self._db, "SELECT company, mode FROM outages ORDER BY company LIMIT 1000")
        return [Outage(mode=row["mode"], company_id=int(row["company"]) if row["company"] else None) for row in rows]

    def mode_for(self, company_id: str | None) -> OutageMode | None:
        """Return the outage that a request with this `companyId` header meets; None when there is none."""
        rows = every(
            self._db,
            "SELECT mode FROM outages WHERE company IN (?, '') ORDER BY company DESC LIMIT 1",
            company_id or _EVERYBODY,
        )
        return OutageMode(rows[0]["mode"]) if rows else None
