"""Checks that a process is connected to the Temporal namespace that the ledger is bound to, before it acts on it."""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, GetClusterInfoRequest
from temporalio.client import Client

from activities.temporal_calls import TemporalCallError, TemporalRefusedError, calling_temporal
from ledger import TemporalBinding, TemporalIdentity

log = structlog.get_logger()

CHECK_LIMIT_S = 5.0
"""Maximum duration of a check's calls to Temporal."""
CHECK_EVERY_S = 10.0
"""Interval of the checks in a running process. The server behind an address may be replaced at any time."""
BIND_COMMAND = "python -m api.bind_temporal"

_RPC = timedelta(seconds=CHECK_LIMIT_S)


class WrongTemporalError(TemporalCallError):
    """The ledger is bound to another Temporal namespace. Nothing may be started or repaired; no money moves."""

    def __init__(self, bound: TemporalIdentity, found: TemporalIdentity) -> None:
        super().__init__(
            f"the ledger belongs to Temporal's {bound}, but this process is connected to {found}. Nothing is started "
            "or repaired. Correct TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE, or SETTLEMENT_DATABASE_URL. If the new one "
            f"replaces the old one for good, stop all workers and API processes and run: {BIND_COMMAND}"
        )
        self.bound = bound
        self.found = found


async def identity_of(client: Client) -> TemporalIdentity:
    """Return the namespace and cluster that a client is connected to. Raises TemporalCallError.

    If the server does not reveal its cluster id (Temporal Cloud), `cluster_id` is empty.
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
    """Compares a client's Temporal namespace with the one that the ledger is bound to."""

    def __init__(self, client: Client, engine: AsyncEngine, name: str) -> None:
        """Check for a process with this name. The ledger records the name of the process that binds it."""
        self._client = client
        self._binding = TemporalBinding(engine)
        self._name = name

    async def check(self) -> None:
        """Return if both are the same namespace. A ledger that is not bound yet is bound to this namespace.

        Raises WrongTemporalError if they differ. If Temporal cannot be reached, raises another TemporalCallError; if
        the ledger cannot be reached, SQLAlchemyError or OSError. Then the result is unknown.
        """
        found = await identity_of(self._client)
        bound = await self._binding.read() or await self._binding.bind_first(found, self._name, datetime.now(UTC))
        if not bound.is_same_as(found):
            raise WrongTemporalError(bound, found)

    async def check_at_start(self) -> None:
        """Raise WrongTemporalError if the namespaces differ, before anything is written.

        If the ledger cannot be reached, the process starts and `watch` checks later: an outage of the ledger must not
        delay compensations. If Temporal cannot be reached, raises another TemporalCallError, which ends the process.
        """
        try:
            await self.check()
        except (SQLAlchemyError, OSError) as error:
            reason = type(error).__name__
            log.warning("the ledger cannot be reached; the Temporal identity is checked later", error=reason)

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
