"""The API's way to Temporal: the client is handed out only where the ledger belongs to that Temporal."""

import asyncio
from enum import StrEnum

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.temporal_calls import TemporalCallError
from activities.temporal_guard import CHECK_EVERY_S, TemporalGuard, WrongTemporalError
from api.http.problems import ProblemError
from schemas.problems import ErrorCode

log = structlog.get_logger()


class Identity(StrEnum):
    """What is known of the Temporal that this process is connected to."""

    VERIFIED = "VERIFIED"
    """It is the one that the ledger belongs to."""
    UNKNOWN = "UNKNOWN"
    """It was not compared yet: Temporal or the ledger has not answered since this process started."""
    WRONG = "WRONG"
    """The ledger belongs to another one; nothing is started."""


def unconfirmed(error: TemporalCallError, detail: str) -> ProblemError:
    """Return the problem for a call that Temporal did not confirm, and log what the caller is not told."""
    log.error("temporal unavailable", error=str(error))
    return ProblemError(ErrorCode.TEMPORAL_UNAVAILABLE, detail)


class TemporalAccess:
    """Holds the client, and what the last comparison said."""

    def __init__(self, client: Client, engine: AsyncEngine) -> None:
        self._client = client
        self._guard = TemporalGuard(client, engine, "api")
        self._wrong: WrongTemporalError | None = None
        self._verified = False

    @property
    def namespace(self) -> str:
        """The namespace's name, for links."""
        return self._client.namespace

    @property
    def identity(self) -> Identity:
        """What the last comparison said."""
        if self._wrong is not None:
            return Identity.WRONG
        return Identity.VERIFIED if self._verified else Identity.UNKNOWN

    async def client(self) -> Client:
        """Return the client, once it is known that the ledger belongs to its Temporal.

        Raises WrongTemporalError where it does not, and what `check` raises where that cannot be told yet: then
        nothing is started. The caller bounds the wait.
        """
        if self._wrong is not None:
            raise self._wrong
        if not self._verified:
            await self.check()
        return self._client

    async def check(self) -> None:
        """Compare now. Raises as `TemporalGuard.check` does; only WrongTemporalError changes what was known."""
        try:
            await self._guard.check()
        except WrongTemporalError as wrong:
            self._wrong, self._verified = wrong, False
            raise
        if self._wrong is not None:
            log.info("the ledger belongs to this Temporal again")
        self._wrong, self._verified = None, True

    async def answers(self) -> bool:
        """Tell whether Temporal answers at all, whichever it is. Call it within `calling_temporal`."""
        return await self._client.service_client.check_health()

    async def watch(self) -> None:
        """Compare again and again until cancelled: a server behind an address may be replaced, or come back."""
        while True:
            try:
                await self.check()
            except WrongTemporalError as wrong:
                log.error("wrong Temporal", error=str(wrong))  # noqa: TRY400 - the message says it all
            except Exception as error:  # noqa: BLE001 - whatever keeps it from being compared, it is compared again
                log.warning("Temporal's identity not checked", error=str(error) or type(error).__name__)
            await asyncio.sleep(CHECK_EVERY_S)
