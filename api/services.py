"""The services that every endpoint uses. FastAPI injects them."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from api.keys.verification import Keys
from api.temporal_access import TemporalAccess
from config.settings import Settings
from ledger import Batches, Ledger


@dataclass(frozen=True)
class Services:
    """The services of one API process. The caller of `create_app` opens and closes them."""

    settings: Settings
    ledger: Ledger
    temporal: TemporalAccess
    keys: Keys
    batches: Batches


def services_of(request: Request) -> Services:
    """Return the services that the app was created with."""
    return cast("Services", request.app.state.services)


Injected = Annotated[Services, Depends(services_of)]
