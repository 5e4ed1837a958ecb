"""The services that every endpoint uses. FastAPI injects them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, cast

from fastapi import Depends, Request

from activities.local_decisions import LocalDecisions
from api.codec_server.sessions import CodecServer
from api.http.quotas import Quotas
from api.keys.refused import RefusedKeys
from api.keys.verification import Keys
from api.temporal_access import TemporalAccess
from config.settings import Settings
from config.watched_file import WatchedFile
from config.watched_systems import WatchedSystems
from ledger import Batches, BreakerReports, Ledger, SecurityEvents, SystemPauses
from settlement.order_limits import OrderLimits
from settlement.update_signature import UpdateSigner


@dataclass(frozen=True)
class Services:
    """The services of one API process. The caller of `create_app` opens and closes them."""

    settings: Settings
    ledger: Ledger
    temporal: TemporalAccess
    keys: Keys
    batches: Batches
    systems: WatchedSystems
    pauses: SystemPauses
    signer: UpdateSigner
    order_limits: WatchedFile[OrderLimits]
    decisions: LocalDecisions | None = None
    """The decisions of the worker in this process; None if the worker is another process."""
    codec: CodecServer | None = None
    """The codec server; None if payloads are not encrypted."""

    @cached_property
    def breakers(self) -> BreakerReports:
        """What the workers report of the circuit breakers of the external systems."""
        return BreakerReports(self.ledger.engine)

    @cached_property
    def refused_keys(self) -> RefusedKeys:
        """The requests of this process without a valid key, as security events."""
        return RefusedKeys(SecurityEvents(self.ledger.readers))

    @cached_property
    def quotas(self) -> Quotas:
        """The quotas of the clients in this process."""
        return Quotas(self.settings)


def services_of(request: Request) -> Services:
    """Return the services that the app was created with."""
    return cast("Services", request.app.state.services)


async def _injected(request: Request) -> Services:
    # Asynchronous, because FastAPI executes a synchronous dependency in another thread.
    return services_of(request)


Injected = Annotated[Services, Depends(_injected)]
