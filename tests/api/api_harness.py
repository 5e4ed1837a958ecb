"""The real API in this process, without a socket."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import cast

import httpx2
from fastapi import FastAPI
from starlette import datastructures
from temporalio.client import Client
from temporalio.service import RPCError

from api.app import create_app, provide
from api.keys.verification import Keys
from api.services import Services
from api.temporal_access import TemporalAccess
from config.order_limits import watched_order_limits
from config.settings import Settings
from config.watched_systems import WatchedSystems
from connector import ExternalSystem
from ledger import Batches, KeyRing, Ledger, SystemPauses
from schemas.keys import ApiKeyRequest
from settlement.ids import workflow_id
from settlement.keys import Role
from settlement.policy import ConfirmMode
from settlement.scope import Companies
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.states import State
from tests.api.openapi_checker import OpenApiChecker
from tests.support.ledgers import FlakyLedger
from tests.support.orders import id_of
from tests.support.polling import until
from tests.support.sagas import SIGNER, workers

SETTLEMENTS = "/v1/settlements"
RESPONSE_LIMIT_S = 30.0
PEPPER = b"pepper of the tests, 32 bytes or more"
UI_URL = "http://ui.example:8233/"

QUICK_SETTINGS = Settings(
    temporal_ui_url=UI_URL,
    cancel_max_attempts=1,
    confirm=ConfirmMode.NEVER,
    expire_after_s=60,
    auth="off",
)
"""One failed cancel is an abort. The expiry is long, so that nothing expires on a slow machine."""

WITH_KEYS = QUICK_SETTINGS.model_copy(update={"auth": "on"})
"""The same, with API keys required."""


@dataclass
class ApiHarness:
    """The app with its services, and a client that checks every response against the app's OpenAPI document."""

    app: FastAPI
    http: httpx2.AsyncClient
    ledger: FlakyLedger
    temporal: Client

    async def post(self, order: Mapping[str, object], **headers: str) -> httpx2.Response:
        """Post a settlement."""
        return await self.http.post(SETTLEMENTS, json=order, headers=headers)

    async def post_raw(self, content: bytes, **headers: str) -> httpx2.Response:
        """Post arbitrary bytes as a settlement."""
        return await self.http.post(
            SETTLEMENTS, content=content, headers={"content-type": "application/json", **headers}
        )

    async def get(self, number: object) -> httpx2.Response:
        """Read a settlement."""
        return await self.http.get(f"{SETTLEMENTS}/{number}")

    async def act(self, number: object, kind: str, body: object, **headers: str) -> httpx2.Response:
        """Request an operator action."""
        return await self.http.post(f"{SETTLEMENTS}/{number}/{kind}", json=body, headers=headers)

    async def create_key(
        self, role: Role, client: str | None = None, companies: Companies = "all", expires_in_s: int | None = None
    ) -> str:
        """Create a key and return its full text."""
        keys: Keys = self.app.state.services.keys
        request = ApiKeyRequest(client=client or f"{role}-1", role=role, companies=companies, expires_in_s=expires_in_s)
        made = await keys.create(request, "the test")
        assert made is not None
        return made.api_key

    async def accepted_numbers(self) -> list[str]:
        """Return the numbers of all settlements in the ledger, newest first."""
        page = await self.ledger.page(limit=200)
        return [each.settlement_id.number for each in page.settlements]

    def workers(self, external: ExternalSystem) -> AbstractAsyncContextManager[None]:
        """Run both workers against an external system."""
        return workers(self.temporal, external, self.ledger)

    async def wait_for_state(self, number: object, state: State) -> None:
        """Wait until GET shows the settlement in a state."""

        async def probe() -> bool:
            return bool((await self.get(number)).json()["state"] == state)

        await until(probe, what=f"{number} in {state}")


@cache
def _app_without_services() -> FastAPI:
    return create_app(cast("Services", None))


@cache
def openapi_checker() -> OpenApiChecker:
    """Return the checker of the app's OpenAPI document, which needs no services."""
    return OpenApiChecker(_app_without_services().openapi())


def app_with(services: Services) -> FastAPI:
    """Return an app with its own state. The apps share their routes, because FastAPI builds routes in 40 ms."""
    shared = _app_without_services()
    app = copy(shared)
    app.state = datastructures.State({"endpoints": shared.state.endpoints})
    provide(app, services)
    return app


@asynccontextmanager
async def open_api(
    ledger: FlakyLedger, temporal: Client, settings: Settings = QUICK_SETTINGS, *, raising: bool = True
) -> AsyncIterator[ApiHarness]:
    """Run the app in this process. With `raising`, an unhandled exception fails the test."""
    access, keys = TemporalAccess(temporal, ledger.engine), Keys(KeyRing(ledger.engine), PEPPER)
    systems, pauses = WatchedSystems(settings), SystemPauses(ledger.engine)
    app = app_with(
        Services(
            settings,
            ledger,
            access,
            keys,
            Batches(ledger.engine),
            systems,
            pauses,
            SIGNER,
            watched_order_limits(settings),
        )
    )

    async def check(answer: httpx2.Response) -> None:
        await answer.aread()
        openapi_checker().check(answer)

    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app, raise_app_exceptions=raising),
        base_url="http://127.0.0.1",
        timeout=RESPONSE_LIMIT_S,
        event_hooks={"response": [check]},
    ) as http:
        yield ApiHarness(app, http, ledger, temporal)
    # As the application does at its end, which no lifespan announces here.
    await app.state.services.refused_keys.close()


@asynccontextmanager
async def open_api_with_temporal(
    ledger: FlakyLedger, temporal: Client, settings: Settings = QUICK_SETTINGS
) -> AsyncIterator[ApiHarness]:
    """Run the app with a real Temporal, and terminate the workflows that the test leaves open."""
    async with open_api(ledger, temporal, settings) as opened:
        try:
            yield opened
        finally:
            for number in await opened.accepted_numbers():
                await terminate(temporal, number)


async def accept(ledger: Ledger, settlement: SettlementInput, snapshot: Snapshot | None = None) -> str:
    """Insert a settlement as a POST does, and record its snapshot if there is one; return its number."""
    first = Snapshot(version=0, state=State.ADJUSTING, reason="accepted", updated_at=settlement.accepted_at)
    await ledger.accept(settlement, first)
    if snapshot is not None:
        await ledger.record(settlement, snapshot)
    return settlement.adjust.requestUniqueNo


async def terminate(temporal: Client, number: str) -> None:
    """Terminate a workflow that a test left open, so that the workers of later tests do not run it."""
    try:
        await temporal.get_workflow_handle(workflow_id(id_of(number))).terminate(reason="the test is over")
    except RPCError:
        return


def bearer(key: str) -> dict[str, str]:
    """Return the header with a key."""
    return {"authorization": f"Bearer {key}"}
