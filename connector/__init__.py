"""Our client of the external system: one attempt, one deadline, one verdict.

`exchange` moves bytes, `classify` reads them (pure), `external_system` joins the two to the three
operations of the contract. Nothing here retries, and nothing here raises for what a broker does:
whatever comes back, or does not, becomes a `Verdict`.
"""

from connector.exchange import DEADLINES, Deadlines
from connector.external_system import CallHeaders, ExternalSystem, ExternalSystemConfig

__all__ = ["DEADLINES", "CallHeaders", "Deadlines", "ExternalSystem", "ExternalSystemConfig"]
