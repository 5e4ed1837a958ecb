"""The client of the external system: each call is one attempt with one deadline and returns one `Verdict`.

`exchange` sends a request and reads the reply as bytes, `classify` decides what they mean (pure functions), and
`external_system` combines both for the three operations of the contract. Nothing here retries. Whatever the external
system does becomes a `Verdict`, not an exception.
"""

from connector.exchange import DEADLINES, Deadlines
from connector.external_system import CallHeaders, ExternalSystem, ExternalSystemConfig
from connector.external_systems import ExternalSystems, SystemsByName, UnusableSystemError
from connector.message_signatures import MessageSigner

__all__ = [
    "DEADLINES",
    "CallHeaders",
    "Deadlines",
    "ExternalSystem",
    "ExternalSystemConfig",
    "ExternalSystems",
    "MessageSigner",
    "SystemsByName",
    "UnusableSystemError",
]
