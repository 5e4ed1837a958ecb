"""What tests of an operator's acts have in common: an aborted settlement, and something to say about it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from settlement.states import State
from tests.api.doors import Door
from tests.support.orders import order
from tests.support.scripted import UNKNOWN, Answer, ScriptedExternalSystem
from tests.support.stories import FAILED

RETRY, RESOLUTION = "cancel-adjust-retries", "resolution"
ACTS = [RETRY, RESOLUTION]
EVIDENCE = {"reasonCode": "OTHER", "note": "reversed by the broker", "brokerReference": "ticket 17"}
BROKER_IS_BACK = {"reasonCode": "BROKER_RECOVERED", "note": "broker is back"}


@asynccontextmanager
async def aborted(door: Door, *then: Answer) -> AsyncIterator[str]:
    """Bring a settlement to ABORTED; what comes then answers the cancels of an operator's retry."""
    body = order()
    external = ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED, *then])
    async with door.workers(external):
        assert (await door.post(body, prefer="wait=20")).status_code == 201
        await door.reaches(body["requestUniqueNo"], State.ABORTED)
        yield body["requestUniqueNo"]


def story(resource: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Return operation, round and attempt of every call."""
    return [(call["operation"], call["round"], call["attempt"]) for call in resource["calls"]]
