"""The API behind real uvicorn, with a real ledger, Temporal and workers, in a thread.

schemathesis is not asynchronous, so the service has its own event loop.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from structlog.testing import capture_logs

from api.app import create_app
from api.keys.verification import Keys
from api.services import Services
from api.temporal_access import TemporalAccess
from config.order_limits import watched_order_limits
from config.watched_systems import WatchedSystems
from connector import CallHeaders, Deadlines, ExternalSystem, ExternalSystemConfig
from contract.adjust import AdjustBody
from contract.cancel_adjust import CancelAdjustBody
from contract.cancel_operation import CancelOperationBody
from contract.fields import OperationType
from ledger import Batches, KeyRing, SystemPauses, open_engine
from ledger.migrate import migrate
from schemas.keys import ApiKeyRequest
from settlement.calls import Verdict
from settlement.keys import Permission, Role
from tests.api.api_harness import PEPPER, WITH_KEYS
from tests.api.sockets import served
from tests.support.dev_server import dev_server
from tests.support.ledgers import FlakyLedger
from tests.support.sagas import SIGNER, workers
from tests.support.scripted import APPLIED, UNKNOWN
from tests.support.story_acts import FAILED
from workflows.reconciliation.schedule import ensure_schedule

START_LIMIT_S = 60.0

ROLE_WITH = {
    Permission.SUBMIT: Role.PLATFORM,
    Permission.READ: Role.VIEWER,
    Permission.ACT: Role.OPERATOR,
    Permission.MANAGE_KEYS: Role.ADMIN,
    Permission.READ_SECURITY_EVENTS: Role.OPERATOR,
}


class DeductionsHangExternalSystem(ExternalSystem):
    """Applies every adjust, except that deductions stay UNKNOWN, so that they end ABORTED."""

    async def adjust(self, body: AdjustBody, headers: CallHeaders, deadlines: Deadlines) -> Verdict:  # noqa: ARG002 - a double has its original's parameters
        """Return APPLIED, or UNKNOWN for a deduction."""
        return UNKNOWN if body.operationType == OperationType.ABNORMAL_OVERTRADING else APPLIED

    async def cancel_adjust(
        self,
        body: CancelAdjustBody | CancelOperationBody,  # noqa: ARG002 - a double has its original's parameters
        headers: CallHeaders,  # noqa: ARG002 - a double has its original's parameters
        deadlines: Deadlines,  # noqa: ARG002 - a double has its original's parameters
    ) -> Verdict:
        """Fail."""
        return FAILED


@dataclass(frozen=True)
class Service:
    """The URL and the keys of the running API."""

    url: str
    keys: dict[Permission, str]
    """One key for each permission."""
    http: httpx2.Client
    """A client for the tests."""

    def bearer(self, permission: Permission) -> dict[str, str]:
        """Return the header of a caller with a permission. schemathesis expects this spelling."""
        return {"Authorization": f"Bearer {self.keys[permission]}"}


class _Running:
    """One service in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._service: Service | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="service", daemon=True)

    def start(self) -> Service:
        """Start the service. Raises RuntimeError if it does not start."""
        self._thread.start()
        if not self._ready.wait(START_LIMIT_S) or self._service is None:
            message = "the service did not start"
            raise RuntimeError(message)
        return self._service

    def stop(self) -> None:
        """Stop the service and wait for its thread."""
        if self._loop is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_LIMIT_S)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            async with AsyncExitStack() as stack:
                self._service = await _open(stack, self._folder)
                self._ready.set()
                await self._stop.wait()
        finally:
            self._ready.set()


async def _open(stack: AsyncExitStack, folder: Path) -> Service:
    engine = open_engine(f"sqlite:///{folder / 'ledger.db'}")
    stack.push_async_callback(engine.dispose)
    await migrate(engine)
    temporal = await stack.enter_async_context(dev_server())
    await ensure_schedule(temporal, WITH_KEYS.reconcile_every_s)
    ledger, keys, batches = FlakyLedger(engine), Keys(KeyRing(engine), PEPPER), Batches(engine)
    external = DeductionsHangExternalSystem(ExternalSystemConfig("http://unused"))
    await stack.enter_async_context(workers(temporal, external, ledger, batches))
    app = create_app(
        Services(
            WITH_KEYS,
            ledger,
            TemporalAccess(temporal, engine),
            keys,
            batches,
            WatchedSystems(WITH_KEYS),
            SystemPauses(engine),
            SIGNER,
            watched_order_limits(WITH_KEYS),
        )
    )
    port = await stack.enter_async_context(served(app))
    url = f"http://127.0.0.1:{port}"
    client = stack.enter_context(httpx2.Client(base_url=url))
    return Service(url, {each: await _key(keys, role) for each, role in ROLE_WITH.items()}, client)


async def _key(keys: Keys, role: Role) -> str:
    created = await keys.create(ApiKeyRequest(client=f"fuzz-{role}", role=role, companies="all"), "the test")
    assert created is not None
    return created.api_key


@contextmanager
def serving_api(folder: Path) -> Iterator[Service]:
    """Run the service while the context is open. Its ledger is a file in `folder`."""
    with capture_logs():
        running = _Running(folder)
        try:
            yield running.start()
        finally:
            running.stop()
