"""The operators in a chaos run: they retry or resolve some aborted settlements, and leave the others."""

import asyncio
import random
from contextlib import suppress
from http import HTTPStatus

import aiohttp

from settlement.reconciliation import FindingKind
from settlement.states import State
from tests.e2e.conftest import System

EVERY_S = 3.0
RETRY = {"reasonCode": "BROKER_RECOVERED", "note": "the broker is back"}
ALLOW = {"count": 200, "note": "terminated by mistake"}
RESOLVE = {"reasonCode": "REVERSED_BY_BROKER", "note": "seen in the broker's books", "brokerReference": "ticket 4711"}


class Operators:
    """Handles each aborted settlement once. A settlement that is aborted again stays ABORTED."""

    def __init__(self, system: System, rng: random.Random) -> None:
        self._system = system
        self._rng = rng
        self._seen: set[str] = set()
        self.actions = 0

    async def work(self) -> None:
        """Handle aborted settlements periodically until cancelled. Errors are retried in the next round."""
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                await self._handle_aborted()
            await asyncio.sleep(EVERY_S)

    async def _handle_aborted(self) -> None:
        async with asyncio.timeout(30):
            await self._allow_take_ups()
            page = await self._system.ask("GET", f"/v1/settlements?state={State.ABORTED}&limit=50")
            if page.status != HTTPStatus.OK:
                return
            for item in page.body["items"]:
                await self._act(item["requestUniqueNo"])

    async def _allow_take_ups(self) -> None:
        """Allow reconciliation to take up all workflows that a fault has terminated."""
        page = await self._system.ask("GET", "/v1/reconciliation/findings?status=OPEN&limit=200")
        if page.status != HTTPStatus.OK:
            return
        if any(item["kind"] == FindingKind.TAKE_UP_LIMIT for item in page.body["items"]):
            await self._system.ask("POST", "/v1/reconciliation/take-up-allowances", json=ALLOW)

    async def _act(self, number: str) -> None:
        if number in self._seen:
            return
        self._seen.add(number)
        action, body = self._rng.choice((("cancel-adjust-retries", RETRY), ("resolution", RESOLVE), (None, {})))
        if action is not None:
            answer = await self._system.act(number, action, body)
            self.actions += answer.status == HTTPStatus.OK
