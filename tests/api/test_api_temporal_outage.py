"""Temporal is down, silent, or has no worker: an answer within the wait, and nothing lost or done twice."""

import asyncio
import gc
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import Client

from settlement.states import State
from tests.api.doors import QUICK_SETTINGS, SETTLEMENTS, Door, accept, open_door
from tests.api.wire import Line
from tests.support.ledgers import FlakyLedger
from tests.support.orders import order, settlement
from tests.support.sagas import workers
from tests.support.scripted import APPLIED, REVERSED, ScriptedExternalSystem
from tests.support.stopwatch import timed
from workflows.runtime import DATA_CONVERTER

NO_WAIT: dict[str, str] = {}
WAITS = [pytest.param(NO_WAIT, 6.0, id="no wait"), pytest.param({"prefer": "wait=1"}, 4.0, id="wait=1")]
"""Headers, and how long the answer may take: the wait and a margin for a slow machine."""


async def check_refused(door: Door, headers: dict[str, str], limit_s: float) -> dict[str, Any]:
    """Post an order that cannot be started; return it."""
    body = order()
    answer, took_s = await timed(door.post(body, **headers))
    assert (answer.status_code, answer.json()["code"]) == (503, "temporal-unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert took_s < limit_s
    read = await door.get(body["requestUniqueNo"])
    assert (read.status_code, read.json()["state"], read.json()["decision"]) == (200, "ADJUSTING", None)
    return body


async def check_settles(door: Door, temporal: Client, body: dict[str, Any], **headers: str) -> None:
    """Post the same order again now that Temporal is back: one adjust, under the first trace."""
    trace = (await door.get(body["requestUniqueNo"])).json()["trace"]
    external = ScriptedExternalSystem(adjust=APPLIED)
    async with workers(temporal, external, door.ledger):
        answer = await door.post(body, trace="another", **headers)
        await door.reaches(body["requestUniqueNo"], State.SETTLED)
    assert (answer.status_code, answer.headers["idempotent-replayed"]) == (200, "true")
    assert [each.trace for each in external.headers] == [trace]
    assert await door.recorded() == [body["requestUniqueNo"]]


@pytest.mark.parametrize(("headers", "limit_s"), WAITS)
async def test_temporal_that_is_down_is_named_and_a_later_repeat_settles(
    lined_door: Door, temporal_line: Line, temporal: Client, headers: dict[str, str], limit_s: float
) -> None:
    body = await check_refused(lined_door, headers, limit_s)
    await temporal_line.lead_to(temporal.service_client.config.target_host)
    await check_settles(lined_door, temporal, body, prefer="wait=20")


@pytest.mark.parametrize(("headers", "limit_s"), WAITS)
async def test_temporal_that_is_silent_is_named_and_a_later_repeat_settles(
    lined_door: Door, temporal_line: Line, temporal: Client, headers: dict[str, str], limit_s: float
) -> None:
    await temporal_line.answer_nothing()
    body = await check_refused(lined_door, headers, limit_s)
    await temporal_line.lead_to(temporal.service_client.config.target_host)
    await check_settles(lined_door, temporal, body, prefer="wait=20")


async def test_temporal_that_falls_silent_on_an_open_connection_is_named(
    lined_door: Door, temporal_line: Line, temporal: Client
) -> None:
    await temporal_line.lead_to(temporal.service_client.config.target_host)
    started = await lined_door.post(order())
    assert started.status_code == 202
    await temporal_line.answer_nothing()
    await check_refused(lined_door, {"prefer": "wait=1"}, 4)


async def test_repeat_during_the_outage_is_refused_the_same_way(closed_door: Door) -> None:
    body = order()
    answers = [await closed_door.post(body) for _ in range(3)]
    assert {answer.json()["code"] for answer in answers} == {"temporal-unavailable"}
    assert await closed_door.recorded() == [body["requestUniqueNo"]]


async def test_temporal_that_refuses_the_start_is_unavailable(ledger: FlakyLedger, temporal: Client) -> None:
    """A namespace that is not there is the operator's fault, not the caller's."""
    target = temporal.service_client.config.target_host
    stray = await Client.connect(target, namespace="absent", data_converter=DATA_CONVERTER, lazy=True)
    async with open_door(ledger, stray) as door:
        for headers in (NO_WAIT, {"prefer": "wait=2"}):
            answer = await door.post(order(), **headers)
            assert (answer.status_code, answer.json()["code"]) == (503, "temporal-unavailable")
            assert "absent" not in answer.text


async def test_without_a_worker_the_answer_is_202_within_the_wait(door: Door) -> None:
    """Temporal itself would not answer before it is out of patience."""
    body = order()
    answer, took_s = await timed(door.post(body, prefer="wait=2"))
    assert (answer.status_code, answer.json()["state"]) == (202, "ADJUSTING")
    assert answer.headers["location"] == f"{SETTLEMENTS}/{body['requestUniqueNo']}"
    assert int(answer.headers["retry-after"]) > 0
    assert took_s < 5
    await check_settles(door, door.temporal, body)


async def test_wait_that_runs_out_is_no_error_in_the_log(door: Door, closed_door: Door) -> None:
    """Temporal's client keeps the failure of a call that was given up; unasked for, it is logged with a traceback."""
    complaints: list[object] = []
    loop = asyncio.get_running_loop()
    calm = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))
    try:
        assert (await door.post(order(), prefer="wait=1")).status_code == 202
        assert (await closed_door.post(order(), prefer="wait=1")).status_code == 503
        gc.collect()
    finally:
        loop.set_exception_handler(calm)
    assert complaints == []


async def test_without_a_worker_and_a_wait_the_answer_is_202(door: Door) -> None:
    body = order()
    answer, took_s = await timed(door.post(body))
    assert answer.status_code == 202
    assert took_s < 6
    await check_settles(door, door.temporal, body, prefer="wait=20")


@pytest.mark.parametrize("headers", [{"prefer": "wait=20"}, NO_WAIT], ids=["wait", "no wait"])
async def test_repeat_after_the_expiry_voids_the_order_and_cancels_what_may_have_been_sent(
    door: Door, headers: dict[str, str]
) -> None:
    """The platform has long moved on, and a workflow that Temporal has lost may have sent the adjust."""
    stale = settlement(accepted_at=datetime.now(UTC) - timedelta(hours=1), policy=QUICK_SETTINGS.policy)
    number = await accept(door.ledger, stale)
    external = ScriptedExternalSystem(adjust=APPLIED, cancels=[REVERSED])
    body = stale.adjust.model_dump(mode="json", exclude_none=True)
    async with door.workers(external):
        answer = await door.post(body, companyId="7", **headers)
        await door.reaches(number, State.CANCELLED)
    assert answer.status_code == 200
    if headers:
        assert (answer.json()["state"], answer.json()["decision"]) == ("CANCELLING", "VOID")
    assert external.adjusts == []
