"""What operators do in the simulation: the Updates that the API would send, with its signature."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError

from settlement.ids import APPROVE_UPDATE, PROPOSE_UPDATE, RESOLVE_UPDATE, RETRY_UPDATE
from settlement.snapshot import OperatorRequest, Snapshot
from settlement.start import SettlementInput
from settlement.states import State
from tests.simulation.plan import Action
from tests.support.sagas import SIGNER
from tests.support.story_acts import APPROVAL, RESOLVE, RETRY
from workflows.order_settlement import OrderSettlement

Handle = WorkflowHandle[OrderSettlement, State]


@dataclass(frozen=True)
class Operators:
    """The operators of one settlement."""

    handle: Handle
    settlement: SettlementInput
    query: Callable[[Handle], Awaitable[Snapshot]]

    async def act(self, action: Action) -> None:
        """Perform an action. Raises WorkflowUpdateFailedError or RPCError if it is refused."""
        match action:
            case Action.RETRY:
                await self._send(RETRY_UPDATE, RETRY)
            case Action.PROPOSE:
                await self._send(PROPOSE_UPDATE, RESOLVE)
            case Action.RESOLVE if self.settlement.needs_second_operator:
                await self._resolve_by_two()
            case Action.RESOLVE:
                await self._send(RESOLVE_UPDATE, RESOLVE)

    async def _resolve_by_two(self) -> None:
        """Propose, and approve. Before that, the proposer tries to approve, and one operator to resolve alone."""
        for update, request in ((RESOLVE_UPDATE, RESOLVE), (APPROVE_UPDATE, await self._approval(RESOLVE.operator))):
            with suppress(WorkflowUpdateFailedError):
                await self._send(update, request)
        await self._send(PROPOSE_UPDATE, RESOLVE)
        with suppress(WorkflowUpdateFailedError):
            await self._send(APPROVE_UPDATE, await self._approval(RESOLVE.operator))
        await self._send(APPROVE_UPDATE, await self._approval(APPROVAL.operator))

    async def _approval(self, operator: str) -> OperatorRequest:
        proposal = (await self.query(self.handle)).proposal
        number = 0 if proposal is None else proposal.proposal_no
        return APPROVAL.model_copy(update={"operator": operator, "proposal_no": number})

    async def _send(self, update: str, request: OperatorRequest) -> None:
        actions = (await self.query(self.handle)).action_count
        await self.handle.execute_update(update, SIGNER.sign(self.handle.id, update, actions, request))
