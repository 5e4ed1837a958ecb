"""Outages of the whole broker or of one company, switched on and off by PUT /simulator/outage."""

import sqlite3
from enum import StrEnum

from pydantic import Field

from contract.fields import Int64
from contract.model import Model
from simulator.database import fetch_all, transaction
from simulator.faults import Behaviour, BookEffect, ReplyMode

_ALL_COMPANIES = ""


class OutageMode(StrEnum):
    """How requests fail during an outage. None of them changes the books."""

    OFF = "off"
    REFUSE = "refuse"
    """The connection is reset before any reply."""
    HTTP_500 = "http_500"
    HANG = "hang"
    """There is no reply."""


BEHAVIOURS: dict[OutageMode, Behaviour] = {
    OutageMode.REFUSE: Behaviour(BookEffect.IGNORE, ReplyMode.RESET),
    OutageMode.HTTP_500: Behaviour(BookEffect.IGNORE, ReplyMode.HTTP_500),
    OutageMode.HANG: Behaviour(BookEffect.IGNORE, ReplyMode.HANG),
}


class Outage(Model):
    """An outage of one company (the header `companyId`), or of all companies if none is named."""

    mode: OutageMode
    company_id: Int64 | None = Field(default=None, strict=True)


class Outages:
    """The active outages. An outage of one company overrides an outage of all companies."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def put(self, outage: Outage) -> None:
        """Begin, change or end an outage. Repeating it changes nothing; "off" without a company ends all outages."""
        company = _ALL_COMPANIES if outage.company_id is None else str(outage.company_id)
        with transaction(self._db):
            if outage.mode is OutageMode.OFF:
                self._db.execute("DELETE FROM outages WHERE company = ? OR ? = ''", (company, company))
            else:
                self._db.execute("REPLACE INTO outages (company, mode) VALUES (?, ?)", (company, outage.mode))

    def active(self) -> list[Outage]:
        """Return the active outages, at most 1,000."""
        rows = fetch_all(self._db, "SELECT company, mode FROM outages ORDER BY company LIMIT 1000")
        return [Outage(mode=row["mode"], company_id=int(row["company"]) if row["company"] else None) for row in rows]

    def mode_for(self, company_id: str | None) -> OutageMode | None:
        """Return the outage that affects requests with this `companyId` header; None if there is none."""
        rows = fetch_all(
            self._db,
            "SELECT mode FROM outages WHERE company IN (?, '') ORDER BY company DESC LIMIT 1",
            company_id or _ALL_COMPANIES,
        )
        return OutageMode(rows[0]["mode"]) if rows else None
