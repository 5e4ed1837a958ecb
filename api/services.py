"""What every endpoint works with, handed to it by FastAPI's dependency injection."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from temporalio.client import Client

from config.settings import Settings
from ledger import Ledger


@dataclass(frozen=True)
class Services:
    """The process's settings, its ledger and its way to Temporal."""

    settings: Settings
    ledger: Ledger
    temporal: Client


def _services(request: Request) -> Services:
    return cast("Services", request.app.state.services)


Injected = Annotated[Services, Depends(_services)]
