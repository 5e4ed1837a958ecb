"""What every endpoint works with, handed to it by FastAPI's dependency injection."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from temporalio.client import Client

from api.keys import Keys
from config.settings import Settings
from ledger import Ledger


@dataclass(frozen=True)
class Services:
    """The process's settings, its ledger, its way to Temporal, and the API keys."""

    settings: Settings
    ledger: Ledger
    temporal: Client
    keys: Keys


def services_of(request: Request) -> Services:
    """Return what the app was made with."""
    return cast("Services", request.app.state.services)


Injected = Annotated[Services, Depends(services_of)]
