"""The guard before everything that acts on Temporal by the ledger: is this the Temporal that the ledger belongs to?"""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, GetClusterInfoRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from ledger import TemporalHome
from settlement.temporal_identity import TemporalIdentity

log = structlog.get_logger()

CHECK_LIMIT_S = 5.0
"""For one check: two calls of Temporal and one read of the ledger."""
CHECK_EVERY_S = 10.0
"""How often a running process checks again: the server behind an address may be replaced at any time."""
BIND_COMMAND = "python -m api.bind_temporal"

_RPC = timedelta(seconds=CHECK_LIMIT_S)
_NOT_TOLD = {RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED}


class WrongTemporalError(RuntimeError):
    """The ledger belongs to another Temporal: nothing may be started or repaired. No money moves because of it.

    A RuntimeError, as the SDK's own error for a server that cannot be reached: whoever handles that handles this.
    """

    def __init__(self, home: TemporalIdentity, found: TemporalIdentity) -> None:
        super().__init__(
            f"the ledger belongs to Temporal's {home}, but this process is connected to {found}. Nothing is started or "
            "repaired. Correct TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE, or SETTLEMENT_DATABASE_URL. If the new one "
            f"replaces the old one for good, stop all workers and API processes and run: {BIND_COMMAND}"
        )
        self.home = home
        self.found = found


async def identity_of(client: Client) -> TemporalIdentity:
    """Return which namespace of which cluster a client is connected to. Raises RPCError, RuntimeError or TimeoutError.

    A server that does not tell its cluster's id, as Temporal Cloud may, is known by the namespace's id alone.
    """
    async with asyncio.timeout(CHECK_LIMIT_S):
        service = client.workflow_service
        described = await service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace), timeout=_RPC)
        try:
            cluster_id = (await service.get_cluster_info(GetClusterInfoRequest(), timeout=_RPC)).cluster_id
        except RPCError as error:
            if error.status not in _NOT_TOLD:
                raise
            cluster_id = ""
    return TemporalIdentity(cluster_id=cluster_id, namespace=client.namespace, namespace_id=described.namespace_info.id)


class TemporalGuard:
    """Compares a client's Temporal with the one that a ledger belongs to."""

    def __init__(self, client: Client, engine: AsyncEngine, name: str) -> None:
        """Compare for a process of this name; the ledger keeps it if the process is the first of all."""
        self._client = client
        self._home = TemporalHome(engine)
        self._name = name

    async def check(self) -> None:
        """Return if it is the same Temporal. A ledger that belongs to none yet belongs to this one from then on.

        Raises WrongTemporalError if it is another one; RPCError, RuntimeError, SQLAlchemyError or OSError if
        either side cannot be asked, which says nothing about it.
        """
        found = await identity_of(self._client)
        home = await self._home.read() or await self._home.adopt_first(found, self._name, datetime.now(UTC))
        if not home.is_same_as(found):
            raise WrongTemporalError(home, found)

    async def watch(self) -> None:
        """Check again and again; raise WrongTemporalError as soon as it is another one. Nothing else ends it."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            try:
                await self.check()
            except WrongTemporalError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever keeps it from being checked, it is checked again
                log.warning("Temporal's identity not checked", error=str(error) or type(error).__name__)
