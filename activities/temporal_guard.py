"""Checks that a process is connected to the Temporal namespace that the ledger is bound to, before it acts on it."""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, GetClusterInfoRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from ledger import TemporalBinding, TemporalIdentity

log = structlog.get_logger()

CHECK_LIMIT_S = 5.0
"""Maximum duration of a check's calls to Temporal."""
CHECK_EVERY_S = 10.0
"""Interval of the checks in a running process. The server behind an address may be replaced at any time."""
ADOPT_COMMAND = "python -m api.adopt_temporal"

_RPC = timedelta(seconds=CHECK_LIMIT_S)
_CLUSTER_ID_HIDDEN = {RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED}


class WrongTemporalError(RuntimeError):
    """The ledger is bound to another Temporal namespace. Nothing may be started or repaired; no money moves.

    It is a RuntimeError, like the SDK's error for a server that cannot be reached, so the same handlers handle it.
    """

    def __init__(self, home: TemporalIdentity, found: TemporalIdentity) -> None:
        super().__init__(
            f"the ledger belongs to Temporal's {home}, but this process is connected to {found}. Nothing is started or "
            "repaired. Correct TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE, or SETTLEMENT_DATABASE_URL. If the new one "
            f"replaces the old one for good, stop all workers and API processes and run: {ADOPT_COMMAND}"
        )
        self.home = home
        self.found = found


async def identity_of(client: Client) -> TemporalIdentity:
    """Return the namespace and cluster that a client is connected to. Raises RPCError, RuntimeError or TimeoutError.

    If the server does not reveal its cluster id (Temporal Cloud), `cluster_id` is empty.
    """
    async with asyncio.timeout(CHECK_LIMIT_S):
        service = client.workflow_service
        described = await service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace), timeout=_RPC)
        try:
            cluster_id = (await service.get_cluster_info(GetClusterInfoRequest(), timeout=_RPC)).cluster_id
        except RPCError as error:
            if error.status not in _CLUSTER_ID_HIDDEN:
                raise
            cluster_id = ""
    return TemporalIdentity(cluster_id=cluster_id, namespace=client.namespace, namespace_id=described.namespace_info.id)


class TemporalGuard:
    """Compares a client's Temporal namespace with the one that the ledger is bound to."""

    def __init__(self, client: Client, engine: AsyncEngine, name: str) -> None:
        """Check for a process with this name. The ledger records the name of the process that binds it."""
        self._client = client
        self._home = TemporalBinding(engine)
        self._name = name

    async def check(self) -> None:
        """Return if both are the same namespace. A ledger that is not bound yet is bound to this namespace.

        Raises WrongTemporalError if they differ. Raises RPCError, RuntimeError, SQLAlchemyError or OSError if Temporal
        or the ledger cannot be reached; then the result is unknown.
        """
        found = await identity_of(self._client)
        home = await self._home.read() or await self._home.adopt_first(found, self._name, datetime.now(UTC))
        if not home.is_same_as(found):
            raise WrongTemporalError(home, found)

    async def watch(self) -> None:
        """Check every `CHECK_EVERY_S` seconds until cancelled. Raises WrongTemporalError if the namespaces differ."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            try:
                await self.check()
            except WrongTemporalError:
                raise
            except Exception as error:  # noqa: BLE001 - after any error, the next check tries again
                log.warning("Temporal identity not checked; will retry", error=str(error) or type(error).__name__)
