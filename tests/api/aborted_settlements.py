"""Shared by the tests of operator actions: an aborted settlement, and valid request bodies."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from settlement.states import State
from tests.api.api_harness import ApiHarness
from tests.support.orders import order
from tests.support.scripted import UNKNOWN, Answer, ScriptedExternalSystem
from tests.support.story_acts import FAILED

RETRY, RESOLUTION = "cancel-adjust-retries", "resolution"
ACTIONS = [RETRY, RESOLUTION]
EVIDENCE = {"reasonCode": "OTHER", "note": "reversed by the broker", "brokerReference": "ticket 17"}
BROKER_IS_BACK = {"reasonCode": "BROKER_RECOVERED", "note": "broker is back"}


@asynccontextmanager
async def aborted(api: ApiHarness, *then: Answer) -> AsyncIterator[str]:
    """Bring a settlement to ABORTED. `then` are the replies to the cancels of an operator's retry."""
    body = order()
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED, *then])
    async with api.workers(external):
        assert (await api.post(body, prefer="wait=20")).status_code == 201
        await api.wait_for_state(body["requestUniqueNo"], State.ABORTED)
        yield body["requestUniqueNo"]


def calls_of(resource: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Return operation, round and attempt of every call."""
    return [(call["operation"], call["round"], call["attempt"]) for call in resource["calls"]]
