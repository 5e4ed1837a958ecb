"""Batches at the front door: previewed, begun once, read, stopped; the ledger answers, whoever else is away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.reconciliation.repair import Reconciler
from activities.reconciliation.start_batches import StartBatches
from ledger import Batches
from settlement.batch_retry import BatchProgress
from settlement.ids import batch_workflow_id
from settlement.keys import Role
from settlement.reconciliation import ScanTask
from settlement.states import State
from tests.api.batching import BATCHES, COMPANY, PREVIEW, abort, batch_of, becomes, begin, moment, read
from tests.api.doors import UI_URL, Door, bearer
from tests.api.wire import Line
from tests.support.batches import RecoveringExternalSystem
from tests.support.orders import order
from tests.support.sagas import workers
from workflows.batch_retry.start import start_batch
from workflows.start import take_up

NOBODY = "00000000-0000-0000-0000-000000000000"


async def test_preview_names_count_sums_and_ages(closed_door: Door) -> None:
    first, *_, last = await abort(closed_door, 3, amount="12.50")
    await abort(closed_door, 1, amount="-0.05", operationType="ABNORMAL_OVERTRADING", currency="EUR")
    answer = await closed_door.http.get(PREVIEW, params={"companyId": COMPANY, "cause": "DEADLINE"})
    preview = answer.json()
    assert (answer.status_code, preview["count"]) == (200, 4)
    assert preview["totals"] == [
        {"currency": "EUR", "count": 1, "amount": "0.05"},
        {"currency": "USD", "count": 3, "amount": "37.50"},
    ]
    oldest, newest = [(await closed_door.get(number)).json()["acceptedAt"] for number in (first, last)]
    assert moment(preview["oldestAcceptedAt"]) == moment(oldest)
    assert moment(preview["newestAcceptedAt"]) > moment(newest)


async def test_preview_counts_only_what_fits(closed_door: Door) -> None:
    (number,) = await abort(closed_door, 1)
    accepted_at = (await closed_door.get(number)).json()["acceptedAt"]
    for params, count in (
        ({"from": accepted_at}, 1),
        ({"to": accepted_at}, 0),
        ({"cause": "HTTP_STATUS"}, 0),
        ({"companyId": "8"}, 0),
        ({"companyId": str(COMPANY), "from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00+08:00"}, 0),
    ):
        assert (await closed_door.http.get(PREVIEW, params=params)).json()["count"] == count


async def test_batch_is_begun_kept_and_read(closed_door: Door) -> None:
    """Without Temporal and without a worker: the ledger has it, and it is begun when they are back."""
    numbers = await abort(closed_door, 3, amount="12.50")
    answer = await begin(closed_door, 3, ratePerS=0.5)
    batch = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"{BATCHES}/{batch['batchId']}")
    assert (batch["state"], batch["operator"], batch["reasonCode"]) == ("RUNNING", "local", "BROKER_RECOVERED")
    assert (batch["note"], batch["ratePerS"], batch["count"]) == ("broker is back", 0.5, 3)
    assert batch["selection"] == {"companyId": COMPANY, "cause": None, "from": None, "to": None, "all": None}
    assert batch["totals"] == [{"currency": "USD", "count": 3, "amount": "37.50"}]
    assert (batch["outcomes"], batch["states"], batch["endedAt"]) == ({"PENDING": 3}, {"ABORTED": 3}, None)
    assert batch["temporalUiUrl"] == (
        f"{UI_URL}namespaces/{closed_door.temporal.namespace}/workflows/batch-retry-{batch['batchId']}"
    )
    assert await read(closed_door, answer.headers["location"]) == batch
    assert (await read(closed_door, BATCHES))["items"] == [batch]
    report = await read(closed_door, f"{answer.headers['location']}/items")
    assert [(each["requestUniqueNo"], each["outcome"], each["state"]) for each in report["items"]] == [
        (number, "PENDING", "ABORTED") for number in numbers
    ]


async def test_report_is_paged_by_position(closed_door: Door) -> None:
    await abort(closed_door, 5)
    path = await batch_of(closed_door, 5)
    pages, after = [], 0
    while after is not None:
        page = await read(closed_door, f"{path}/items?after={after}&limit=2")
        pages.append([each["position"] for each in page["items"]])
        after = page["nextAfter"]
    assert pages == [[1, 2], [3, 4], [5]]


async def test_batches_are_listed_newest_first_and_no_more_than_asked_for(closed_door: Door) -> None:
    await abort(closed_door, 1)
    paths = [await batch_of(closed_door, 1) for _ in range(3)]
    listed = (await read(closed_door, f"{BATCHES}?limit=2"))["items"]
    assert [f"{BATCHES}/{each['batchId']}" for each in listed] == paths[:0:-1]


@pytest.mark.parametrize("expected", [1, 3])
async def test_selection_that_has_changed_begins_nothing(closed_door: Door, expected: int) -> None:
    await abort(closed_door, 2)
    answer = await begin(closed_door, expected)
    assert (answer.status_code, answer.json()["code"]) == (409, "selection-changed")
    assert "2 aborted" in answer.json()["detail"]
    assert (await read(closed_door, BATCHES))["items"] == []


async def test_more_than_a_batch_may_have_is_said_and_not_counted(
    closed_door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("ledger.queries.batch_retry", "api.batch_retry.routes"):
        monkeypatch.setattr(f"{module}.BATCH_ITEMS_MAX", 2)
    await abort(closed_door, 4)
    answer = await begin(closed_door, 2)
    assert (answer.status_code, answer.json()["code"]) == (409, "selection-changed")
    assert "more than 2" in answer.json()["detail"]


async def test_repeat_under_a_key_is_the_same_batch(closed_door: Door) -> None:
    """Even when the selection is another one by then: the batch was begun, and its answer was lost."""
    await abort(closed_door, 1)
    first = await begin(closed_door, 1, "key-1")
    await abort(closed_door, 1)
    again = await begin(closed_door, 1, "key-1")
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert again.headers["location"] == first.headers["location"]
    assert again.json() == first.json()


async def test_another_key_and_no_key_are_other_batches(closed_door: Door) -> None:
    await abort(closed_door, 1)
    answers = [
        await begin(closed_door, 1, "key-1"),
        await begin(closed_door, 1, "key-2"),
        await begin(closed_door, 1),
        await begin(closed_door, 1),
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
async def test_another_body_under_a_key_is_refused_and_the_difference_named(
    closed_door: Door, fields: dict[str, Any], named: str
) -> None:
    """Otherwise a client that reuses a key believes that its second order runs, or runs both."""
    await abort(closed_door, 1)
    first = await begin(closed_door, 1, "key-1")
    refused = await begin(closed_door, 1, "key-1", **fields)
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency-key-reused")
    assert f"with other {named};" in refused.json()["detail"]
    assert refused.headers["location"] == first.headers["location"]
    assert [each["batchId"] for each in (await read(closed_door, BATCHES))["items"]] == [first.json()["batchId"]]


async def test_a_key_is_not_taken_by_a_request_that_began_nothing(closed_door: Door) -> None:
    """The preview is made again, and the same key begins what it was meant for."""
    await abort(closed_door, 1)
    assert (await begin(closed_door, 9, "key-1")).status_code == 409
    assert (await begin(closed_door, 1, "key-1")).status_code == 202


async def test_owner_of_the_key_is_the_operator_and_keys_of_others_are_other_batches(guarded: Door) -> None:
    await abort(guarded, 1)
    operators = []
    for owner in ("ops-1", "ops-2"):
        guarded.http.headers.update(bearer(await guarded.key(Role.OPERATOR, owner)))
        operators.append((await begin(guarded, 1, "key-1")).json()["operator"])
    assert operators == ["ops-1", "ops-2"]


async def test_stop_is_the_last_word_and_may_be_repeated(closed_door: Door) -> None:
    """Nothing else than the ledger is needed to stop a batch."""
    await abort(closed_door, 2)
    path = await batch_of(closed_door, 2)
    answers = [await closed_door.http.post(f"{path}/stop") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    stopped = answers[0].json()
    assert (stopped["state"], stopped["outcomes"]) == ("STOPPED", {"PENDING": 2})
    assert stopped["endedAt"] is not None
    assert [answer.json() for answer in answers] == [stopped] * 3
    assert await read(closed_door, path) == stopped


@pytest.mark.parametrize("batch", [NOBODY, "nothing-1", NOBODY.replace("-", ""), "%00", "x" * 400, "A" * 36])
async def test_unknown_batch_is_not_found(closed_door: Door, batch: str) -> None:
    path = f"{BATCHES}/{batch}"
    for answer in (
        await closed_door.http.get(path),
        await closed_door.http.get(f"{path}/items"),
        await closed_door.http.post(f"{path}/stop"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_ledger_that_is_away_is_named(closed_door: Door, engine: AsyncEngine) -> None:
    await abort(closed_door, 1)
    path = await batch_of(closed_door, 1)
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE batch_items RENAME TO out_of_reach"))
    for answer in (
        await begin(closed_door, 1),
        await closed_door.http.get(BATCHES),
        await closed_door.http.get(path),
        await closed_door.http.post(f"{path}/stop"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "ledger-unavailable")


async def test_batch_is_carried_out_and_reported(door: Door) -> None:
    external = RecoveringExternalSystem()
    async with door.workers(external):
        numbers = await aborted_by(door, 4)
        external.away = False
        path = await batch_of(door, 4)
        done = await becomes(door, path, "DONE")
        for number in numbers:
            await door.reaches(number, State.CANCELLED)
        acts = [(await door.get(number)).json()["operatorActions"] for number in numbers]
        stopped = (await door.http.post(f"{path}/stop")).json()
    assert done["outcomes"] == {"RETRIED": 4}
    report = (await read(door, f"{path}/items"))["items"]
    assert {(each["state"], each["cancelResult"]) for each in report} == {("CANCELLED", "REVERSED")}
    assert stopped["state"] == "DONE"
    assert (await read(door, path))["states"] == {"CANCELLED": 4}
    act = ("local", "broker is back", done["batchId"])
    assert [[(each["operator"], each["note"], each["batchId"]) for each in ones] for ones in acts] == [[act]] * 4


async def test_stop_ends_the_workflow_of_a_batch(door: Door, temporal: Client) -> None:
    """One that was begun while no worker ran; it finds its end in the ledger and touches nothing."""
    external = RecoveringExternalSystem()
    async with door.workers(external):
        numbers = await aborted_by(door, 2)
    path = await batch_of(door, 2)
    await door.http.post(f"{path}/stop")
    batch_id = path.rpartition("/")[2]
    handle = temporal.get_workflow_handle(batch_workflow_id(batch_id), result_type=BatchProgress)
    async with door.workers(external):
        assert (await handle.result()).pending == 2
        for number in numbers:
            resource = (await door.get(number)).json()
            assert (resource["state"], resource["operatorActions"]) == ("ABORTED", [])


async def test_batch_that_was_begun_without_temporal_is_carried_out_after_the_next_round(
    lined_door: Door, temporal_line: Line, temporal: Client
) -> None:
    """The worker starts it; the API is not asked again, and may still reach no Temporal."""
    engine = lined_door.ledger.engine
    starts = StartBatches(temporal, Batches(engine), Reconciler(temporal, engine, take_up), start_batch).start_batches
    async with begun_without_temporal(lined_door, temporal_line, temporal) as path:
        assert (await read(lined_door, path))["outcomes"] == {"PENDING": 2}
        scanned = await ActivityEnvironment().run(starts, ScanTask(round_started_at=datetime.now(UTC)))
        assert (scanned.checked, scanned.failed) == (1, 0)
        assert (await becomes(lined_door, path, "DONE"))["outcomes"] == {"RETRIED": 2}


@asynccontextmanager
async def begun_without_temporal(door: Door, line: Line, temporal: Client) -> AsyncIterator[str]:
    """Begin a batch over two aborted settlements while the API reaches no Temporal; the workers do. Yield its path."""
    external = RecoveringExternalSystem()
    await line.lead_to(temporal.service_client.config.target_host)
    async with workers(temporal, external, door.ledger):
        await aborted_by(door, 2)
        external.away = False
        await line.answer_nothing()
        yield await batch_of(door, 2)


async def aborted_by(door: Door, count: int) -> list[str]:
    """Have an external system that is away abort so many settlements."""
    bodies = [order() for _ in range(count)]
    for body in bodies:
        assert (await door.post(body, companyId=str(COMPANY))).status_code == 202
    for body in bodies:
        await door.reaches(body["requestUniqueNo"], State.ABORTED)
    return [body["requestUniqueNo"] for body in bodies]
