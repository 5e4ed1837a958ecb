"""What tests of batches have in common: aborted settlements, and a batch over them."""

from datetime import datetime
from typing import Any

import httpx2

from settlement.states import State
from tests.api.doors import Door, accept
from tests.api.snapshots import stands
from tests.support.orders import settlement
from tests.support.polling import until

PREVIEW, BATCHES = "/v1/batch-retry-preview", "/v1/batch-retries"
COMPANY = 7
VALID: dict[str, Any] = {
    "selection": {"companyId": COMPANY},
    "reasonCode": "BROKER_RECOVERED",
    "note": "broker is back",
    "expectedCount": 1,
}


async def abort(door: Door, count: int, **fields: Any) -> list[str]:  # noqa: ANN401 - any field of an order
    """Have the ledger know of so many aborted settlements, which have no workflow; return their numbers."""
    orders = [settlement(**fields) for _ in range(count)]
    return [await accept(door.ledger, each, stands(each, State.ABORTED)) for each in orders]


async def begin(door: Door, count: int, key: str | None = None, **fields: object) -> httpx2.Response:
    """Post a batch over all aborted settlements of the company."""
    headers = {"idempotency-key": key} if key else {}
    return await door.http.post(BATCHES, json=VALID | {"expectedCount": count} | fields, headers=headers)


async def batch_of(door: Door, count: int) -> str:
    """Begin a batch and return its path."""
    answer = await begin(door, count)
    assert answer.status_code == 202
    return answer.headers["location"]


async def read(door: Door, path: str) -> dict[str, Any]:
    """Read what is there."""
    answer = await door.http.get(path)
    assert answer.status_code == 200
    return dict(answer.json())


async def becomes(door: Door, path: str, state: str) -> dict[str, Any]:
    """Wait until a batch is in a state, and return it."""

    async def probe() -> dict[str, Any] | None:
        batch = await read(door, path)
        return batch if batch["state"] == state else None

    return await until(probe, what=f"{path} in {state}")


def moment(text: str) -> datetime:
    """Read a moment of an answer."""
    return datetime.fromisoformat(text)
