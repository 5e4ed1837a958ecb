"""Batches at the API: previewed, started once, read and stopped, with the ledger alone."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from settlement.keys import Role
from tests.api.api_harness import QUICK_SETTINGS, UI_URL, ApiHarness, bearer, open_api
from tests.api.batch_requests import (
    BATCHES,
    COMPANY,
    PREVIEW,
    add_aborted,
    new_batch,
    post_batch,
    read,
    timestamp,
)
from tests.support.ledgers import FlakyLedger

UNKNOWN_BATCH = "00000000-0000-0000-0000-000000000000"


async def test_preview_names_count_sums_and_ages(api_without_temporal: ApiHarness) -> None:
    first, *_, last = await add_aborted(api_without_temporal, 3, amount="12.50")
    await add_aborted(api_without_temporal, 1, amount="-0.05", operationType="ABNORMAL_OVERTRADING", currency="EUR")
    answer = await api_without_temporal.http.get(PREVIEW, params={"companyId": COMPANY, "cause": "DEADLINE"})
    preview = answer.json()
    assert (answer.status_code, preview["count"]) == (200, 4)
    assert preview["totals"] == [
        {"currency": "EUR", "count": 1, "amount": "0.05"},
        {"currency": "USD", "count": 3, "amount": "37.50"},
    ]
    oldest, newest = [(await api_without_temporal.get(number)).json()["acceptedAt"] for number in (first, last)]
    assert timestamp(preview["oldestAcceptedAt"]) == timestamp(oldest)
    assert timestamp(preview["newestAcceptedAt"]) > timestamp(newest)


async def test_a_preview_counts_the_matching_settlements(api_without_temporal: ApiHarness) -> None:
    (number,) = await add_aborted(api_without_temporal, 1)
    accepted_at = (await api_without_temporal.get(number)).json()["acceptedAt"]
    for params, count in (
        ({"from": accepted_at}, 1),
        ({"to": accepted_at}, 0),
        ({"cause": "HTTP_STATUS"}, 0),
        ({"companyId": "8"}, 0),
        ({"system": "default"}, 1),
        ({"system": "beta"}, 0),
        ({"companyId": str(COMPANY), "from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00+08:00"}, 0),
    ):
        assert (await api_without_temporal.http.get(PREVIEW, params=params)).json()["count"] == count


async def test_a_batch_is_started_stored_and_read(api_without_temporal: ApiHarness) -> None:
    """Without Temporal and workers, the ledger stores the batch; it starts when they are back."""
    numbers = await add_aborted(api_without_temporal, 3, amount="12.50")
    answer = await post_batch(api_without_temporal, 3, ratePerS=0.5)
    batch = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"{BATCHES}/{batch['batchId']}")
    assert (batch["state"], batch["operator"], batch["reasonCode"]) == ("RUNNING", "local", "BROKER_RECOVERED")
    assert (batch["note"], batch["ratePerS"], batch["count"]) == ("broker is back", 0.5, 3)
    others = dict.fromkeys(("system", "cause", "from", "to", "all"))
    assert batch["selection"] == {"companyId": COMPANY, **others}
    assert batch["totals"] == [{"currency": "USD", "count": 3, "amount": "37.50"}]
    assert (batch["outcomes"], batch["states"], batch["endedAt"]) == ({"PENDING": 3}, {"ABORTED": 3}, None)
    assert batch["temporalUiUrl"] == (
        f"{UI_URL}namespaces/{api_without_temporal.temporal.namespace}/workflows/batch-retry-{batch['batchId']}"
    )
    assert await read(api_without_temporal, answer.headers["location"]) == batch
    assert (await read(api_without_temporal, BATCHES))["items"] == [batch]
    report = await read(api_without_temporal, f"{answer.headers['location']}/items")
    assert [(each["requestUniqueNo"], each["outcome"], each["state"]) for each in report["items"]] == [
        (number, "PENDING", "ABORTED") for number in numbers
    ]


async def test_report_is_paged_by_position(api_without_temporal: ApiHarness) -> None:
    await add_aborted(api_without_temporal, 5)
    path = await new_batch(api_without_temporal, 5)
    pages, after = [], 0
    while after is not None:
        page = await read(api_without_temporal, f"{path}/items?after={after}&limit=2")
        pages.append([each["position"] for each in page["items"]])
        after = page["nextAfter"]
    assert pages == [[1, 2], [3, 4], [5]]


async def test_batches_are_listed_newest_first_up_to_the_limit(api_without_temporal: ApiHarness) -> None:
    await add_aborted(api_without_temporal, 1)
    paths = [await new_batch(api_without_temporal, 1) for _ in range(3)]
    listed = (await read(api_without_temporal, f"{BATCHES}?limit=2"))["items"]
    assert [f"{BATCHES}/{each['batchId']}" for each in listed] == paths[:0:-1]


@pytest.mark.parametrize("expected", [1, 3])
async def test_a_changed_selection_starts_no_batch(api_without_temporal: ApiHarness, expected: int) -> None:
    await add_aborted(api_without_temporal, 2)
    answer = await post_batch(api_without_temporal, expected)
    assert (answer.status_code, answer.json()["code"]) == (409, "selection-changed")
    assert "2 aborted" in answer.json()["detail"]
    assert (await read(api_without_temporal, BATCHES))["items"] == []


@pytest.mark.parametrize(
    ("setting", "requested", "allowed"),
    [
        (None, None, None),
        ("USD=25", {"USD": "25.00", "EUR": "1"}, None),
        ("USD=24.99,*=100", None, "24.99 USD"),
        ("EUR=1,*=24.99", None, "24.99 USD"),
        ("USD=1000", {"USD": "24.999"}, "24.999 USD"),
    ],
)
async def test_batch_is_limited_by_its_sum(
    ledger: FlakyLedger, dead_temporal: Client, setting: str | None, requested: object, allowed: str | None
) -> None:
    settings = QUICK_SETTINGS.model_copy(update={"batch_sums_max": setting})
    async with open_api(ledger, dead_temporal, settings) as api:
        await add_aborted(api, 2)
        answer = await post_batch(api, 2, sumsMax=requested)
        started = (await read(api, BATCHES))["items"]
    if allowed is None:
        assert (answer.status_code, len(started)) == (202, 1)
        return
    assert (answer.status_code, answer.json()["code"], started) == (422, "batch-sum-limit", [])
    assert "the batch has 2 settlements, and 2 of them have 25 USD" in answer.json()["detail"].replace("25.00", "25")
    assert f"at most {allowed} are allowed" in answer.json()["detail"]


async def test_a_selection_above_the_limit_is_rejected_without_counting_it(
    api_without_temporal: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("ledger.queries.batch_retry", "api.batch_retry.routes"):
        monkeypatch.setattr(f"{module}.BATCH_ITEMS_MAX", 2)
    await add_aborted(api_without_temporal, 4)
    answer = await post_batch(api_without_temporal, 2)
    assert (answer.status_code, answer.json()["code"]) == (409, "selection-changed")
    assert "more than 2" in answer.json()["detail"]


async def test_a_repeat_under_an_idempotency_key_is_the_same_batch(api_without_temporal: ApiHarness) -> None:
    """Also if the selection has changed since: the batch was started, and its response was lost."""
    await add_aborted(api_without_temporal, 1)
    first = await post_batch(api_without_temporal, 1, "key-1")
    await add_aborted(api_without_temporal, 1)
    again = await post_batch(api_without_temporal, 1, "key-1")
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert again.headers["location"] == first.headers["location"]
    assert again.json() == first.json()


async def test_another_idempotency_key_and_no_key_start_another_batch(api_without_temporal: ApiHarness) -> None:
    await add_aborted(api_without_temporal, 1)
    answers = [
        await post_batch(api_without_temporal, 1, "key-1"),
        await post_batch(api_without_temporal, 1, "key-2"),
        await post_batch(api_without_temporal, 1),
        await post_batch(api_without_temporal, 1),
    ]
    assert [answer.status_code for answer in answers] == [202] * 4
    assert len({answer.json()["batchId"] for answer in answers}) == 4


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"note": "another"}, "note"),
        ({"reasonCode": "OTHER"}, "reasonCode"),
        ({"ratePerS": 3.5}, "ratePerS"),
        ({"expectedCount": 2}, "expectedCount"),
        ({"selection": {"companyId": COMPANY, "cause": "DEADLINE"}}, "selection"),
        ({"selection": {"cause": "DEADLINE"}, "note": "another"}, "selection, note"),
    ],
)
async def test_another_body_under_an_idempotency_key_is_rejected_and_the_difference_named(
    api_without_temporal: ApiHarness, fields: dict[str, Any], named: str
) -> None:
    """Otherwise a client that reuses a key by mistake would believe that its second batch runs."""
    await add_aborted(api_without_temporal, 1)
    first = await post_batch(api_without_temporal, 1, "key-1")
    refused = await post_batch(api_without_temporal, 1, "key-1", **fields)
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency-key-reused")
    assert f"with other {named};" in refused.json()["detail"]
    assert refused.headers["location"] == first.headers["location"]
    assert [each["batchId"] for each in (await read(api_without_temporal, BATCHES))["items"]] == [
        first.json()["batchId"]
    ]


async def test_a_rejected_request_does_not_use_up_its_idempotency_key(api_without_temporal: ApiHarness) -> None:
    """After a new preview the same key starts the batch."""
    await add_aborted(api_without_temporal, 1)
    assert (await post_batch(api_without_temporal, 9, "key-1")).status_code == 409
    assert (await post_batch(api_without_temporal, 1, "key-1")).status_code == 202


async def test_the_owner_of_the_api_key_is_the_operator_and_idempotency_keys_are_per_owner(
    api_with_keys: ApiHarness,
) -> None:
    await add_aborted(api_with_keys, 1)
    operators = []
    for owner in ("ops-1", "ops-2"):
        api_with_keys.http.headers.update(bearer(await api_with_keys.create_key(Role.OPERATOR, owner)))
        operators.append((await post_batch(api_with_keys, 1, "key-1")).json()["operator"])
    assert operators == ["ops-1", "ops-2"]


async def test_a_stop_is_final_and_may_be_repeated(api_without_temporal: ApiHarness) -> None:
    """Stopping a batch needs only the ledger."""
    await add_aborted(api_without_temporal, 2)
    path = await new_batch(api_without_temporal, 2)
    answers = [await api_without_temporal.http.post(f"{path}/stop") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    stopped = answers[0].json()
    assert (stopped["state"], stopped["outcomes"]) == ("STOPPED", {"PENDING": 2})
    assert stopped["endedAt"] is not None
    assert [answer.json() for answer in answers] == [stopped] * 3
    assert await read(api_without_temporal, path) == stopped


@pytest.mark.parametrize(
    "batch", [UNKNOWN_BATCH, "nothing-1", UNKNOWN_BATCH.replace("-", ""), "%00", "x" * 400, "A" * 36]
)
async def test_unknown_batch_is_not_found(api_without_temporal: ApiHarness, batch: str) -> None:
    path = f"{BATCHES}/{batch}"
    for answer in (
        await api_without_temporal.http.get(path),
        await api_without_temporal.http.get(f"{path}/items"),
        await api_without_temporal.http.post(f"{path}/stop"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_an_unreachable_ledger_is_reported(api_without_temporal: ApiHarness, engine: AsyncEngine) -> None:
    await add_aborted(api_without_temporal, 1)
    path = await new_batch(api_without_temporal, 1)
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE batch_items RENAME TO out_of_reach"))
    for answer in (
        await post_batch(api_without_temporal, 1),
        await api_without_temporal.http.get(BATCHES),
        await api_without_temporal.http.get(path),
        await api_without_temporal.http.post(f"{path}/stop"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "ledger-unavailable")
