"""Reads the settlements' workflows from Temporal, with timeouts. Changes nothing."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from pydantic import ValidationError
from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)
from temporalio.common import SearchAttributeKey

from activities.reconciliation.diagnose import Execution
from activities.temporal_calls import TemporalArgumentError, TemporalCallError, TemporalNotFoundError, calling_temporal
from settlement import limits
from settlement.ids import (
    SETTLEMENT_WORKFLOW,
    SNAPSHOT_QUERY,
    STATE_ATTRIBUTE,
    SettlementId,
    settlement_of,
    workflow_id,
)
from settlement.snapshot import Snapshot
from settlement.start import SettlementStart
from settlement.states import State, decision_of

log = structlog.get_logger()

_STATE = SearchAttributeKey.for_keyword(STATE_ATTRIBUTE)
_RPC = timedelta(seconds=limits.RECONCILE_RPC_S)


@dataclass(frozen=True)
class WorkflowPage:
    """The settlements of one page of workflows in Temporal's list."""

    running: frozenset[SettlementId]
    closed: frozenset[SettlementId]
    """Settlements with a closed workflow. A newer workflow of the same settlement may be open."""
    after: str | None


class SettlementWorkflows:
    """Reads workflows with a Temporal client. Methods raise TemporalCallError if Temporal cannot be reached."""

    def __init__(self, temporal: Client) -> None:
        self._temporal = temporal

    async def execution(self, settlement_id: SettlementId) -> Execution | None:
        """Return a settlement's newest workflow; None if Temporal has none."""
        try:
            async with calling_temporal():
                found = await self._temporal.get_workflow_handle(workflow_id(settlement_id)).describe(rpc_timeout=_RPC)
        except TemporalNotFoundError:
            return None
        return _to_execution(found)

    async def snapshot(self, settlement_id: SettlementId, execution: Execution) -> Snapshot | None:
        """Return the last snapshot of a workflow, open or closed; None if it does not answer. It needs a worker.

        If no worker can replay a completed workflow, the snapshot contains its end state and no audit.
        """
        handle = self._temporal.get_workflow_handle(workflow_id(settlement_id), run_id=execution.run_id)
        try:
            async with calling_temporal():
                timeout = timedelta(seconds=limits.RECONCILE_QUERY_S)
                answer: Snapshot = await handle.query(SNAPSHOT_QUERY, result_type=Snapshot, rpc_timeout=timeout)
        except WorkflowQueryFailedError as error:
            log.warning("a workflow cannot be replayed", settlement=str(settlement_id), error=str(error))
            return await self._at_its_end(settlement_id, execution)
        except (
            TemporalCallError,
            WorkflowQueryRejectedError,
            ValidationError,
        ) as error:
            log.warning(
                "the snapshot of a workflow cannot be read", settlement=str(settlement_id), error=type(error).__name__
            )
            return None
        return answer

    async def _at_its_end(self, settlement_id: SettlementId, execution: Execution) -> Snapshot | None:
        """Return a snapshot from the result of a completed workflow, which needs no worker; else None.

        Without it, an order whose PROCEED was told could lose its row's decision, and be cancelled after the retention.
        """
        if not execution.completed or execution.closed_at is None:
            return None
        handle = self._temporal.get_workflow_handle(
            workflow_id(settlement_id), run_id=execution.run_id, result_type=State
        )
        async with calling_temporal():
            state: State = await handle.result(follow_runs=False, rpc_timeout=_RPC)
        at, reason = execution.closed_at, f"its workflow ended {state}; its calls cannot be read: see the Temporal UI"
        return Snapshot(
            version=1, state=state, decision=decision_of(state), decided_at=at, updated_at=at, reason=reason
        )

    async def start_of(self, settlement_id: SettlementId, execution: Execution) -> SettlementStart | None:
        """Return a workflow's input from its history; None if it cannot be read."""
        handle = self._temporal.get_workflow_handle(workflow_id(settlement_id), run_id=execution.run_id)
        async with calling_temporal():
            first = await anext(handle.fetch_history_events(page_size=1, rpc_timeout=_RPC), None)
        if first is None:
            return None
        given = first.workflow_execution_started_event_attributes.input.payloads
        try:
            (start,) = await self._temporal.data_converter.decode(given, [SettlementStart])
        except (ValueError, RuntimeError) as error:
            log.warning(
                "the input of a workflow cannot be read", settlement=str(settlement_id), error=type(error).__name__
            )
            return None
        return start if isinstance(start, SettlementStart) else None

    async def page(self, size: int, closed_since: datetime, after: str | None) -> WorkflowPage:
        """Return one page of settlements with a workflow that is open or closed after `closed_since`.

        `after` is the cursor of the previous page. If Temporal rejects it, the list starts from the beginning.
        """
        try:
            return await self._page(size, closed_since, _token(after))
        except TemporalArgumentError:
            if after is None:
                raise
            return await self._page(size, closed_since, None)

    async def _page(self, size: int, closed_since: datetime, token: bytes | None) -> WorkflowPage:
        query = (
            f"WorkflowType = '{SETTLEMENT_WORKFLOW}' AND "
            f"(ExecutionStatus = 'Running' OR CloseTime > '{closed_since.isoformat()}')"
        )
        pages = self._temporal.list_workflows(query, page_size=size, next_page_token=token, rpc_timeout=_RPC)
        async with calling_temporal():
            await pages.fetch_next_page()
        found = pages.current_page or ()
        following = pages.next_page_token
        return WorkflowPage(
            running=_settlements(found, is_open=True),
            closed=_settlements(found, is_open=False),
            after=base64.urlsafe_b64encode(following).decode() if following else None,
        )


def _to_execution(found: WorkflowExecutionDescription) -> Execution:
    return Execution(
        run_id=found.run_id,
        status=found.status.name if found.status is not None else "UNKNOWN",
        closed_at=found.close_time,
        state=_state(found),
        task_attempt=found.raw_description.pending_workflow_task.attempt,
    )


def _state(found: WorkflowExecutionDescription) -> State | None:
    """Return the state in the search attribute; None if it is unknown. Without the attribute, the status says it."""
    marked = found.typed_search_attributes.get(_STATE)
    if marked is None:
        return State.SETTLED if found.status is WorkflowExecutionStatus.COMPLETED else State.ADJUSTING
    return State(marked) if marked in set(State) else None


def _settlements(found: Sequence[WorkflowExecution], *, is_open: bool) -> frozenset[SettlementId]:
    settlements = (settlement_of(each.id) for each in found if (each.close_time is None) is is_open)
    return frozenset(each for each in settlements if each is not None)


def _token(after: str | None) -> bytes | None:
    if after is None:
        return None
    try:
        return base64.urlsafe_b64decode(after)
    except binascii.Error:
        return None
