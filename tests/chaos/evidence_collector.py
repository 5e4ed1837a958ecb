"""Collects the state of every settlement from ledger, Temporal, API, and the external system's books and journal."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from http import HTTPStatus

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from ledger import Ledger, SettlementRecord
from schemas.settlement import Settlement
from settlement.ids import workflow_id
from settlement.snapshot import Snapshot
from settlement.states import State
from simulator.book_records import AccountView, NumberView
from simulator.call_journal import CallView
from tests.chaos.callers import PlacedOrder
from tests.e2e.conftest import System
from tests.simulation.evidence import Evidence, SettlementView
from tests.support.orders import id_of
from workflows.order_settlement import OrderSettlement

AT_ONCE = 16
LIST_LIMIT = 200


class EvidenceCollector:
    """Reads all sides, many settlements at once. All parts must be up."""

    def __init__(self, system: System, ledger: Ledger, temporal: Client) -> None:
        self._system = system
        self._ledger = ledger
        self._temporal = temporal

    async def evidence(
        self, every: Iterable[PlacedOrder]
    ) -> tuple[list[Evidence], list[tuple[PlacedOrder, NumberView]]]:
        """Return the evidence of each settlement, and the books of each order that is not in the ledger."""
        listed, slots = await self._listed(), asyncio.Semaphore(AT_ONCE)

        async def one(placed: PlacedOrder) -> Evidence | tuple[PlacedOrder, NumberView]:
            async with slots:
                return await self._one(placed, listed)

        found = await asyncio.gather(*(one(placed) for placed in every))
        return [each for each in found if isinstance(each, Evidence)], [
            each for each in found if not isinstance(each, Evidence)
        ]

    async def accounts(self) -> list[AccountView]:
        """Return the balances of all accounts of the external system."""
        accounts = (await self._system.look("accounts", limit=10_000))["accounts"]
        return [AccountView.model_validate(each) for each in accounts]

    async def unfinished(self) -> set[str]:
        """Return the numbers of all settlements in ADJUSTING or CANCELLING."""
        found: set[str] = set()
        for state in (State.ADJUSTING, State.CANCELLING):
            found |= await self._in_state(state)
        return found

    async def open_findings(self) -> list[str]:
        """Return the open findings of reconciliation."""
        answer = await self._system.ask("GET", "/v1/reconciliation/findings?status=OPEN")
        return [f"{each['kind']} {each['requestUniqueNo']}: {each['detail']}" for each in answer.body["items"]]

    async def _one(
        self, placed: PlacedOrder, listed: dict[str, frozenset[State]]
    ) -> Evidence | tuple[PlacedOrder, NumberView]:
        number = placed.order.number
        books = NumberView.model_validate(await self._system.books(number))
        accepted = await self._ledger.find(id_of(number))
        if accepted is None:
            return placed, books
        return Evidence(
            settlement=accepted.settlement,
            views=await self._views(number, accepted),
            books=books,
            received=[CallView.model_validate(each) for each in await self._system.calls(number)],
            listed=listed.get(number, frozenset()),
            decisions=placed.decisions,
        )

    async def _views(self, number: str, accepted: SettlementRecord) -> dict[str, SettlementView]:
        views = {"ledger": SettlementView.of_snapshot(accepted.snapshot)}
        answer = await self._system.get(number)
        if answer.status == HTTPStatus.OK:
            views["api"] = SettlementView.of_resource(Settlement.model_validate(answer.body))
        snapshot = await self._snapshot(number)
        if snapshot is not None:
            views["workflow"] = SettlementView.of_snapshot(snapshot)
        return views

    async def _snapshot(self, number: str) -> Snapshot | None:
        handle = self._temporal.get_workflow_handle(workflow_id(id_of(number)))
        try:
            return await handle.query(OrderSettlement.snapshot)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise

    async def _listed(self) -> dict[str, frozenset[State]]:
        found: defaultdict[str, set[State]] = defaultdict(set)
        for state in State:
            for number in await self._in_state(state):
                found[number].add(state)
        return {number: frozenset(states) for number, states in found.items()}

    async def _in_state(self, state: State) -> set[str]:
        found: set[str] = set()
        path = f"/v1/settlements?state={state}&limit={LIST_LIMIT}"
        cursor = ""
        while True:
            page = await self._system.ask("GET", path + cursor)
            found |= {item["requestUniqueNo"] for item in page.body["items"]}
            if page.body["nextCursor"] is None:
                return found
            cursor = f"&cursor={page.body['nextCursor']}"
