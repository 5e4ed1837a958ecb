"""Quotas of clients: one that exceeds its quota gets 429, and another client notices nothing."""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio
from temporalio.client import Client

from settlement.keys import Role
from tests.api.api_harness import SETTLEMENTS, WITH_KEYS, ApiHarness, bearer, open_api
from tests.support.ledgers import FlakyLedger
from tests.support.orders import order

QUOTA = 5
# The bucket is filled again within a second, so a test must not take long between its requests, or have `slow_refill`.
TIGHT = WITH_KEYS.model_copy(update={"requests_per_client_per_s": QUOTA, "waits_per_client": 2})
RATE_LIMIT = re.compile(r'"requests";r=(\d+);t=(\d+)')


@pytest_asyncio.fixture
async def tight(ledger: FlakyLedger, dead_temporal: Client) -> AsyncIterator[ApiHarness]:
    """Yield the app with a low quota of requests and of waits."""
    async with open_api(ledger, dead_temporal, TIGHT) as opened:
        yield opened


@pytest.fixture
def slow_refill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill the buckets in an hour: what is left after one request then does not depend on how long it takes."""
    monkeypatch.setattr("api.http.quotas.WINDOW_S", 3_600)


async def read(api: ApiHarness, key: str) -> httpx2.Response:
    """Send a request that counts."""
    return await api.http.get("/v1/exposure", headers=bearer(key))


async def exhausted(api: ApiHarness, key: str) -> httpx2.Response:
    """Send requests until one is refused, and return that one."""
    for _ in range(100 * QUOTA):
        if (answer := await read(api, key)).status_code == 429:
            return answer
    raise AssertionError


async def test_above_the_quota_a_request_is_refused_and_says_when_to_repeat_it(tight: ApiHarness) -> None:
    refused = await exhausted(tight, await tight.create_key(Role.VIEWER, "greedy"))
    assert refused.json()["code"] == "rate-limited"
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["ratelimit-policy"] == f'"requests";q={QUOTA};w=1'
    assert refused.headers["ratelimit"] == '"requests";r=0;t=1'


@pytest.mark.usefixtures("slow_refill")
async def test_every_answer_says_what_is_left(tight: ApiHarness) -> None:
    """Also a refusal for another reason, which counts as well. The first request leaves all but itself."""
    key = await tight.create_key(Role.ADMIN, "boss")
    answer = await read(tight, key)
    assert answer.status_code == 403
    left = RATE_LIMIT.fullmatch(answer.headers["ratelimit"])
    assert left is not None
    assert (int(left[1]), int(left[2])) == (QUOTA - 1, 1)


async def test_keys_of_one_client_share_its_quota_and_other_clients_have_theirs(tight: ApiHarness) -> None:
    keys = [await tight.create_key(Role.VIEWER, "greedy") for _ in range(2)]
    other = await tight.create_key(Role.VIEWER, "other")
    await exhausted(tight, keys[0])
    # Nothing waits between the two requests; in the time of one request at most few places become free.
    second, unaffected = await exhausted(tight, keys[1]), await read(tight, other)
    assert (second.json()["code"], unaffected.status_code) == ("rate-limited", 200)


@pytest.mark.usefixtures("slow_refill")
@pytest.mark.parametrize(("limit", "cost"), [(1, 1), (20, 1), (21, 2), (60, 3), (200, QUOTA)])
async def test_page_of_a_list_costs_more_than_one_thing(tight: ApiHarness, limit: int, cost: int) -> None:
    """A page never costs more than the quota of one second: otherwise it could never be read."""
    key = await tight.create_key(Role.VIEWER, "lister")
    answer = await tight.http.get(SETTLEMENTS, params={"limit": limit}, headers=bearer(key))
    left = RATE_LIMIT.fullmatch(answer.headers["ratelimit"])
    assert answer.status_code == 200
    assert left is not None
    assert int(left[1]) == QUOTA - cost


@pytest.mark.usefixtures("slow_refill")
async def test_page_that_costs_more_than_what_is_left_is_refused(tight: ApiHarness) -> None:
    key = await tight.create_key(Role.VIEWER, "lister")
    paths = (SETTLEMENTS, "/v1/reconciliation/findings")
    answers = [await tight.http.get(path, params={"limit": 200}, headers=bearer(key)) for path in paths]
    assert [answer.status_code for answer in answers] == [200, 429]


async def test_without_a_valid_key_nothing_is_counted(tight: ApiHarness) -> None:
    answers = [await tight.http.get("/v1/exposure") for _ in range(3 * QUOTA)]
    assert {answer.status_code for answer in answers} == {401}
    assert not any("ratelimit" in answer.headers for answer in answers)


async def test_one_more_wait_of_a_client_is_refused_before_anything_is_accepted(
    tight: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another client waits as well, and the same client posts without a wait."""
    waiting, released = asyncio.Semaphore(0), asyncio.Event()
    accept = tight.ledger.accept

    async def held(*args: object) -> object:
        waiting.release()
        await released.wait()
        return await accept(*args)  # type: ignore[arg-type] # passed on as they are

    monkeypatch.setattr(tight.ledger, "accept", held)
    greedy = bearer(await tight.create_key(Role.PLATFORM, "greedy"))
    other = bearer(await tight.create_key(Role.PLATFORM, "other"))
    waits = [asyncio.create_task(tight.post(order(), prefer="wait=20", **greedy)) for _ in range(2)]
    for _ in waits:
        await waiting.acquire()
    refused = await tight.post(order(), prefer="wait=20", **greedy)
    assert (refused.status_code, refused.json()["code"]) == (429, "too-many-waits-of-client")
    others = [
        asyncio.create_task(tight.post(order(), **headers)) for headers in (greedy, {**other, "prefer": "wait=20"})
    ]
    for _ in others:
        await waiting.acquire()
    released.set()
    # 503: accepted, but there is no Temporal here.
    assert {(await each).status_code for each in (*waits, *others)} == {503}
    assert len(await tight.accepted_numbers()) == 4
    again = await tight.post(order(), prefer="wait=1", **greedy)
    assert again.status_code == 503, "the places are free again"


async def test_without_keys_there_are_no_quotas(ledger: FlakyLedger, dead_temporal: Client) -> None:
    async with open_api(ledger, dead_temporal, TIGHT.model_copy(update={"auth": "off"})) as api:
        answers = [await api.http.get(SETTLEMENTS) for _ in range(3 * QUOTA)]
    assert {answer.status_code for answer in answers} == {200}
