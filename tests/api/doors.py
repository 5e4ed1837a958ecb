"""The real front door in this process, without a socket."""

import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import cast

import httpx2
from fastapi import FastAPI
from temporalio.client import Client
from temporalio.service import RPCError

from api.app import create_app
from api.keys.verification import Keys
from api.services import Services
from api.temporal_access import TemporalAccess
from config.settings import Settings
from connector import ExternalSystem
from ledger import Batches, KeyRing, Ledger
from schemas.keys import ApiKeyRequest
from settlement.ids import workflow_id
from settlement.keys import Role
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.states import State
from tests.api.answers import Documented
from tests.support.ledgers import FlakyLedger
from tests.support.polling import until
from tests.support.sagas import workers

SETTLEMENTS = "/v1/settlements"
PATIENCE_S = 30.0
PEPPER = b"pepper of the tests, 32 bytes or more"
UI_URL = "http://ui.example:8233/"

QUICK_SETTINGS = Settings(
    temporal_ui_url=UI_URL,
    cancel_max_attempts=1,
    confirm_after_s=0,
    expire_after_s=60,
    auth="off",
)
"""Impatient, so that one failing cancel is an abort; patient about expiry, so that a slow machine expires nothing."""

GUARDED = QUICK_SETTINGS.model_copy(update={"auth": "on"})
"""The same, asking for keys."""


@dataclass
class Door:
    """The app over given services, and a client that holds every answer against the app's own document."""

    app: FastAPI
    http: httpx2.AsyncClient
    ledger: FlakyLedger
    temporal: Client

    async def post(self, order: Mapping[str, object], **headers: str) -> httpx2.Response:
        """Post a settlement."""
        return await self.http.post(SETTLEMENTS, json=order, headers=headers)

    async def post_raw(self, content: bytes, **headers: str) -> httpx2.Response:
        """Post any bytes as a settlement."""
        return await self.http.post(
            SETTLEMENTS, content=content, headers={"content-type": "application/json", **headers}
        )

    async def get(self, number: object) -> httpx2.Response:
        """Read a settlement."""
        return await self.http.get(f"{SETTLEMENTS}/{number}")

    async def act(self, number: object, kind: str, body: object, **headers: str) -> httpx2.Response:
        """Ask for an operator's act."""
        return await self.http.post(f"{SETTLEMENTS}/{number}/{kind}", json=body, headers=headers)

    async def key(self, role: Role, owner: str | None = None) -> str:
        """Make a key and return it as a caller sends it."""
        keys: Keys = self.app.state.services.keys
        made = await keys.create(ApiKeyRequest(owner=owner or f"{role}-1", role=role), "the test")
        assert made is not None
        return made.api_key

    async def recorded(self) -> list[str]:
        """Return the numbers of all settlements in the ledger, newest first."""
        page = await self.ledger.page(limit=200)
        return [each.number for each in page.settlements]

    def workers(self, external: ExternalSystem) -> AbstractAsyncContextManager[None]:
        """Run both workers against an external system."""
        return workers(self.temporal, external, self.ledger)

    async def reaches(self, number: object, state: State) -> None:
        """Wait until GET says that it stands in a state."""

        async def probe() -> bool:
            return bool((await self.get(number)).json()["state"] == state)

        await until(probe, what=f"{number} in {state}")


@cache
def documented() -> Documented:
    """Build the app's document, which needs no service."""
    return Documented(create_app(cast("Services", None)).openapi())


@asynccontextmanager
async def open_door(
    ledger: FlakyLedger, temporal: Client, settings: Settings = QUICK_SETTINGS, *, raising: bool = True
) -> AsyncIterator[Door]:
    """Serve the app in this process; an exception that reaches its edge fails the test, unless not `raising`."""
    access, keys = TemporalAccess(temporal, ledger.engine), Keys(KeyRing(ledger.engine), PEPPER)
    app = create_app(Services(settings, ledger, access, keys, Batches(ledger.engine)))

    async def check(answer: httpx2.Response) -> None:
        await answer.aread()
        documented().check(answer)

    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app, raise_app_exceptions=raising),
        base_url="http://127.0.0.1",
        timeout=PATIENCE_S,
        event_hooks={"response": [check]},
    ) as http:
        yield Door(app, http, ledger, temporal)


@asynccontextmanager
async def open_real_door(
    ledger: FlakyLedger, temporal: Client, settings: Settings = QUICK_SETTINGS
) -> AsyncIterator[Door]:
    """Serve the app with a real Temporal; what a test leaves open there ends with it."""
    async with open_door(ledger, temporal, settings) as opened:
        try:
            yield opened
        finally:
            for number in await opened.recorded():
                await terminate(temporal, number)


async def accept(ledger: Ledger, settlement: SettlementInput, snapshot: Snapshot | None = None) -> str:
    """Write a settlement as a POST does, and what became of it; return its number."""
    first = Snapshot(version=0, state=State.ADJUSTING, reason="accepted", updated_at=settlement.accepted_at)
    await ledger.accept(settlement, first)
    if snapshot is not None:
        await ledger.record(settlement, snapshot)
    return settlement.adjust.requestUniqueNo


async def terminate(temporal: Client, number: str) -> None:
    """End a workflow that a test left open, so that no later test's worker takes it up."""
    try:
        await temporal.get_workflow_handle(workflow_id(number)).terminate(reason="the test is over")
    except RPCError:
        return


def bearer(key: str) -> dict[str, str]:
    """Return the header that a key is sent in."""
    return {"authorization": f"Bearer {key}"}


async def timed(request: Awaitable[httpx2.Response]) -> tuple[httpx2.Response, float]:
    """Return an answer and how many seconds it took."""
    started = time.monotonic()
    return await request, time.monotonic() - started
