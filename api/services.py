"""What every endpoint works with, handed to it by FastAPI's dependency injection."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from api.keys.recognition import Keys
from api.temporal_access import TemporalAccess
from config.settings import Settings
from ledger import Batches, Ledger


@dataclass(frozen=True)
class Services:
    """The process's settings, its ledger, its way to Temporal, the API keys, and the record of batches."""

    settings: Settings
    ledger: Ledger
    temporal: TemporalAccess
    keys: Keys
    batches: Batches


def services_of(request: Request) -> Services:
    """Return what the app was made with."""
    return cast("Services", request.app.state.services)


Injected = Annotated[Services, Depends(services_of)]
