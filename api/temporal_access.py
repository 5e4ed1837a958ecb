"""The API's access to Temporal: it returns the client only if the ledger belongs to that Temporal."""

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
    """Whether the ledger belongs to the Temporal that this process is connected to."""

    VERIFIED = "VERIFIED"
    """It does."""
    UNKNOWN = "UNKNOWN"
    """Not compared yet: Temporal or the ledger has not responded since this process started."""
    WRONG = "WRONG"
    """The ledger belongs to another Temporal. This process starts nothing."""


def unconfirmed(error: TemporalCallError, detail: str) -> ProblemError:
    """Return the problem for a call that Temporal did not confirm, and log the details that the caller does not get."""
    log.error("temporal unavailable", error=str(error))
    return ProblemError(ErrorCode.TEMPORAL_UNAVAILABLE, detail)


class TemporalAccess:
    """The client, and the result of the last comparison of Temporal with the ledger."""

    def __init__(self, client: Client, engine: AsyncEngine) -> None:
        self._client = client
        self._guard = TemporalGuard(client, engine, "api")
        self._wrong: WrongTemporalError | None = None
        self._verified = False

    @property
    def namespace(self) -> str:
        """The name of the namespace, for links."""
        return self._client.namespace

    @property
    def identity(self) -> Identity:
        """The result of the last comparison."""
        if self._wrong is not None:
            return Identity.WRONG
        return Identity.VERIFIED if self._verified else Identity.UNKNOWN

    async def client(self) -> Client:
        """Return the client after checking that the ledger belongs to its Temporal. The caller limits the wait.

        Raises WrongTemporalError if it does not, and the errors of `check` if that is not known yet. In both cases
        nothing was started.
        """
        if self._wrong is not None:
            raise self._wrong
        if not self._verified:
            await self.check()
        return self._client

    async def check(self) -> None:
        """Compare now. Raises the errors of `TemporalGuard.check`; only WrongTemporalError changes `identity`."""
        try:
            await self._guard.check()
        except WrongTemporalError as wrong:
            self._wrong, self._verified = wrong, False
            raise
        if self._wrong is not None:
            log.info("the ledger belongs to this Temporal again")
        self._wrong, self._verified = None, True

    async def is_up(self) -> bool:
        """Return whether Temporal is healthy, without comparing it. Call it within `calling_temporal`."""
        return await self._client.service_client.check_health()

    async def watch(self) -> None:
        """Compare periodically until cancelled: the server behind an address may be replaced."""
        while True:
            try:
                await self.check()
            except WrongTemporalError as wrong:
                log.error("wrong Temporal", error=str(wrong))  # noqa: TRY400 - the message says everything
            except Exception as error:  # noqa: BLE001 - after any error it is compared again
                log.warning("identity of Temporal not checked", error=str(error) or type(error).__name__)
            await asyncio.sleep(CHECK_EVERY_S)
