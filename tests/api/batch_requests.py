"""Shared by the tests of batches: aborted settlements, and a batch over them."""

from datetime import datetime
from typing import Any

import httpx2

from settlement.states import State
from tests.api.api_harness import ApiHarness, accept
from tests.api.snapshots import snapshot_in
from tests.support.orders import order, settlement
from tests.support.polling import until

PREVIEW, BATCHES = "/v1/batch-retry-preview", "/v1/batch-retries"
COMPANY = 7
VALID: dict[str, Any] = {
    "selection": {"companyId": COMPANY},
    "reasonCode": "BROKER_RECOVERED",
    "note": "broker is back",
    "expectedCount": 1,
}


async def add_aborted(api: ApiHarness, count: int, **fields: Any) -> list[str]:  # noqa: ANN401 - any field of an order
    """Insert `count` aborted settlements without workflows into the ledger; return their numbers."""
    orders = [settlement(**fields) for _ in range(count)]
    return [await accept(api.ledger, each, snapshot_in(each, State.ABORTED)) for each in orders]


async def abort_by_outage(api: ApiHarness, count: int) -> list[str]:
    """Create `count` settlements that are aborted because the external system is down."""
    bodies = [order() for _ in range(count)]
    for body in bodies:
        assert (await api.post(body, companyId=str(COMPANY))).status_code == 202
    for body in bodies:
        await api.wait_for_state(body["requestUniqueNo"], State.ABORTED)
    return [body["requestUniqueNo"] for body in bodies]


async def post_batch(api: ApiHarness, count: int, key: str | None = None, **fields: object) -> httpx2.Response:
    """Post a batch over all aborted settlements of the company."""
    headers = {"idempotency-key": key} if key else {}
    return await api.http.post(BATCHES, json=VALID | {"expectedCount": count} | fields, headers=headers)


async def new_batch(api: ApiHarness, count: int) -> str:
    """Start a batch and return its path."""
    answer = await post_batch(api, count)
    assert answer.status_code == 202
    return answer.headers["location"]


async def read(api: ApiHarness, path: str) -> dict[str, Any]:
    """Return the JSON body of a GET."""
    answer = await api.http.get(path)
    assert answer.status_code == 200
    return dict(answer.json())


async def wait_for_batch(api: ApiHarness, path: str, state: str) -> dict[str, Any]:
    """Wait until a batch is in a state, and return it."""

    async def probe() -> dict[str, Any] | None:
        batch = await read(api, path)
        return batch if batch["state"] == state else None

    return await until(probe, what=f"{path} in {state}")


def timestamp(text: str) -> datetime:
    """Parse a time of a response."""
    return datetime.fromisoformat(text)
