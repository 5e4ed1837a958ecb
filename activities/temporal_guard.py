"""The guard before everything that acts on Temporal by the ledger: is this the Temporal that the ledger belongs to?"""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, GetClusterInfoRequest
from temporalio.client import Client

from activities.temporal_calls import TemporalCallError, TemporalRefusedError, calling_temporal
from ledger import TemporalHome
from settlement.temporal_identity import TemporalIdentity

log = structlog.get_logger()

CHECK_LIMIT_S = 5.0
"""For one check: two calls of Temporal and one read of the ledger."""
CHECK_EVERY_S = 10.0
"""How often a running process checks again: the server behind an address may be replaced at any time."""
BIND_COMMAND = "python -m api.bind_temporal"

_RPC = timedelta(seconds=CHECK_LIMIT_S)


class WrongTemporalError(TemporalCallError):
    """The ledger belongs to another Temporal: nothing may be started or repaired. No money moves because of it."""

    def __init__(self, home: TemporalIdentity, found: TemporalIdentity) -> None:
        super().__init__(
            f"the ledger belongs to Temporal's {home}, but this process is connected to {found}. Nothing is started or "
            "repaired. Correct TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE, or SETTLEMENT_DATABASE_URL. If the new one "
            f"replaces the old one for good, stop all workers and API processes and run: {BIND_COMMAND}"
        )
        self.home = home
        self.found = found


async def identity_of(client: Client) -> TemporalIdentity:
    """Return which namespace of which cluster a client is connected to. Raises TemporalCallError.

    A server that does not tell its cluster's id, as Temporal Cloud may, is known by the namespace's id alone.
    """
    namespace = DescribeNamespaceRequest(namespace=client.namespace)
    async with calling_temporal(CHECK_LIMIT_S):
        described = await client.workflow_service.describe_namespace(namespace, timeout=_RPC)
        cluster_id = await _cluster_id(client)
    return TemporalIdentity(cluster_id=cluster_id, namespace=client.namespace, namespace_id=described.namespace_info.id)


async def _cluster_id(client: Client) -> str:
    try:
        async with calling_temporal():
            return (await client.workflow_service.get_cluster_info(GetClusterInfoRequest(), timeout=_RPC)).cluster_id
    except TemporalRefusedError:
        return ""


class TemporalGuard:
    """Compares a client's Temporal with the one that a ledger belongs to."""

    def __init__(self, client: Client, engine: AsyncEngine, name: str) -> None:
        """Compare for a process of this name; the ledger keeps it if the process is the first of all."""
        self._client = client
        self._home = TemporalHome(engine)
        self._name = name

    async def check(self) -> None:
        """Return if it is the same Temporal. A ledger that belongs to none yet belongs to this one from then on.

        Raises WrongTemporalError if it is another one. Where one side cannot be asked, which says nothing about it,
        raises another TemporalCallError for Temporal, SQLAlchemyError or OSError for the ledger.
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
