"""An outage of one company aborts many settlements; one batch puts them right, through a kill -9 of the worker."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from settlement.ids import CancelKind, cancel_unique_no
from settlement.states import CancelResult, State
from tests.e2e.conftest import QUICK, System, faulty
from tests.support.orders import order
from tests.support.polling import until

COMPANY, OTHER_COMPANY = 7, 8
NEVER_REACHED, APPLIED = "12.50", "0.10"
"""Amounts of the orders that the broker never receives, and of those that it applies."""
ATTEMPTS = int(QUICK["cancel_max_attempts"])
AT_ONCE = 10
MakeOrder = Callable[[], dict[str, Any]]
SELECTION = {"companyId": COMPANY, "cause": "HTTP_STATUS"}


def applied_with_error_reply() -> dict[str, Any]:
    """Return an order that the broker applies with an error reply, and whose cancels fail for a whole round."""
    return faulty("http_500_applied", cancel="fail", times=ATTEMPTS)


async def aborted(system: System, count: int, make: MakeOrder, company_id: int = COMPANY) -> list[str]:
    """Post orders of a company, some at a time, until `count` are aborted; return their numbers.

    On a busy machine a worker may take an order up too late to send it; that one is EXPIRED, and another one follows.
    """
    slots = asyncio.Semaphore(AT_ONCE)

    async def live() -> str:
        while True:
            body = make()
            number = str(body["requestUniqueNo"])
            async with slots:
                await system.post(body, wait_s=60, company_id=company_id)
                state = (await system.ends(number))["state"]
            if state != State.EXPIRED:
                assert state == State.ABORTED
                return number

    return await asyncio.gather(*(live() for _ in range(count)))


async def batch(system: System, path: str) -> dict[str, Any]:
    return (await system.ask("GET", path)).body


async def becomes(system: System, path: str, field: str, value: object) -> dict[str, Any]:
    """Wait until a field of a batch has a value, and return the batch."""

    async def probe() -> dict[str, Any] | None:
        found = await batch(system, path)
        return found if found[field] == value else None

    return await until(probe, limit_s=120, what=f"{field} {value}")


async def under_way(system: System, path: str, count: int) -> None:
    """Wait until a batch has retried some of its items."""

    async def probe() -> bool:
        return bool((await batch(system, path))["outcomes"].get("RETRIED", 0) >= count // 5 + 1)

    await until(probe)


async def report(system: System, path: str) -> list[dict[str, Any]]:
    """Return all items of a batch."""
    items: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = (await system.ask("GET", f"{path}/items", params={"after": after, "limit": 150})).body
        items += page["items"]
        after = page["nextAfter"]
    return items


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("unreached_count", "applied_count"), [(6, 2), pytest.param(150, 50, marks=pytest.mark.prove("batch"))]
)
async def test_one_batch_retries_what_an_outage_has_aborted_although_the_worker_is_killed(
    breakable: System, unreached_count: int, applied_count: int
) -> None:
    count = unreached_count + applied_count
    applied = await aborted(breakable, applied_count, lambda: applied_with_error_reply() | {"amount": APPLIED})
    await breakable.outage("http_500", COMPANY)
    unreached = await aborted(breakable, unreached_count, lambda: order(amount=NEVER_REACHED))
    spared = (await breakable.post(order(), company_id=OTHER_COMPANY)).body
    assert spared["state"] == State.SETTLED

    preview = (await breakable.ask("GET", "/v1/batch-retry-preview", params=SELECTION)).body
    amount = unreached_count * Decimal(NEVER_REACHED) + applied_count * Decimal(APPLIED)
    assert preview["count"] == count
    assert preview["totals"] == [{"currency": "USD", "count": count, "amount": str(amount)}]
    assert preview["oldestAcceptedAt"] < preview["newestAcceptedAt"]

    await breakable.outage("off", COMPANY)
    ordered = {
        "selection": SELECTION,
        "reasonCode": "BROKER_RECOVERED",
        "note": "outage is over",
        "expectedCount": preview["count"],
        "ratePerS": count / 10,
    }
    begun = await breakable.ask("POST", "/v1/batch-retries", json=ordered)
    assert (begun.status, begun.body["count"]) == (202, count)
    path = begun.headers["Location"]
    await under_way(breakable, path, count)
    await breakable.stack.worker.kill()
    halfway = await batch(breakable, path)
    assert (halfway["state"], halfway["count"]) == ("RUNNING", count)
    assert halfway["outcomes"]["PENDING"] > 0
    await breakable.stack.worker.start()

    done = await becomes(breakable, path, "state", "DONE")
    assert done["outcomes"] == {"RETRIED": count}
    await becomes(breakable, path, "states", {"CANCELLED": count})
    assert {item["requestUniqueNo"] for item in await report(breakable, path)} == {*applied, *unreached}
    for number in applied:
        await reversed_once(breakable, number)
    for number in unreached:
        await never_received(breakable, number)
    again = (await breakable.ask("GET", "/v1/batch-retry-preview", params=SELECTION)).body
    assert (again["count"], again["totals"]) == (0, [])


async def acts(system: System, number: str, result: CancelResult) -> None:
    """Check that a settlement was cancelled with this result, after one action of the batch."""
    resource = (await system.get(number)).body
    assert (resource["state"], resource["cancelResult"]) == (State.CANCELLED, result)
    assert [act["kind"] for act in resource["operatorActions"]] == ["RETRY_CANCEL_ADJUST"]
    assert {call["round"] for call in resource["calls"]} == {0, 1}


async def reversed_once(system: System, number: str) -> None:
    """Check in the broker's books and journal that the amount was reversed once, under one number."""
    await acts(system, number, CancelResult.REVERSED)
    books = await system.books(number)
    assert (books["timesApplied"], books["timesReversed"]) == (1, 1)
    cancels = await system.cancels(number)
    assert {call["requestUniqueNo"] for call in cancels} == {cancel_unique_no(number, CancelKind.FIRST)}
    assert len({call["body"] for call in cancels}) == 1


async def never_received(system: System, number: str) -> None:
    """Check that the broker has burnt the number, and that each of the two cancels had one body."""
    await acts(system, number, CancelResult.NEVER_RECEIVED)
    books = await system.books(number)
    assert (books["state"], books["timesApplied"]) == ("BURNT", 0)
    cancels = await system.cancels(number)
    for kind in CancelKind:
        bodies = {call["body"] for call in cancels if call["requestUniqueNo"] == cancel_unique_no(number, kind)}
        assert len(bodies) == 1
    assert {call["requestUniqueNo"] for call in cancels} == {cancel_unique_no(number, kind) for kind in CancelKind}


async def test_without_workers_batches_are_started_read_and_stopped(breakable: System) -> None:
    await aborted(breakable, 1, applied_with_error_reply, OTHER_COMPANY)
    await breakable.stack.worker.stop()
    selection = {"companyId": OTHER_COMPANY}
    ordered = {"selection": selection, "reasonCode": "OTHER", "note": "no worker", "expectedCount": 1}
    begun = await breakable.ask("POST", "/v1/batch-retries", json=ordered)
    path = begun.headers["Location"]
    assert (begun.status, (await batch(breakable, path))["outcomes"]) == (202, {"PENDING": 1})
    stopped = await breakable.ask("POST", f"{path}/stop")
    assert (stopped.status, stopped.body["state"]) == (200, "STOPPED")
    await breakable.stack.worker.start()
    resumed = await breakable.ask("POST", "/v1/batch-retries", json=ordered)
    await becomes(breakable, resumed.headers["Location"], "states", {"CANCELLED": 1})
    assert (await batch(breakable, path))["outcomes"] == {"PENDING": 1}
