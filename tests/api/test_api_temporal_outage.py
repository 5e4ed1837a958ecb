"""Temporal is down, unresponsive, or has no worker: a response within the wait, and no order lost or doubled."""

import asyncio
import gc
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import Client

from settlement.states import State
from tests.api.api_harness import QUICK_SETTINGS, SETTLEMENTS, ApiHarness, accept, open_api
from tests.api.sockets import TcpProxy
from tests.support.ledgers import FlakyLedger
from tests.support.orders import order, settlement
from tests.support.sagas import workers
from tests.support.scripted import APPLIED, REVERSED, ScriptedExternalSystem
from tests.support.stopwatch import timed
from workflows.runtime import DATA_CONVERTER

NO_WAIT: dict[str, str] = {}
WAITS = [pytest.param(NO_WAIT, 6.0, id="no wait"), pytest.param({"prefer": "wait=1"}, 4.0, id="wait=1")]
"""Headers, and the maximum duration of the response: the wait plus a margin."""


async def check_refused(api: ApiHarness, headers: dict[str, str], limit_s: float) -> dict[str, Any]:
    """Post an order that cannot be started; return it."""
    body = order()
    answer, took_s = await timed(api.post(body, **headers))
    assert (answer.status_code, answer.json()["code"]) == (503, "temporal-unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert took_s < limit_s
    read = await api.get(body["requestUniqueNo"])
    assert (read.status_code, read.json()["state"], read.json()["decision"]) == (200, "ADJUSTING", None)
    return body


async def check_settles(api: ApiHarness, temporal: Client, body: dict[str, Any], **headers: str) -> None:
    """Post the same order again now that Temporal is back: one adjust, under the first trace."""
    trace = (await api.get(body["requestUniqueNo"])).json()["trace"]
    external = ScriptedExternalSystem(adjust=APPLIED)
    async with workers(temporal, external, api.ledger):
        answer = await api.post(body, trace="another", **headers)
        await api.wait_for_state(body["requestUniqueNo"], State.SETTLED)
    assert (answer.status_code, answer.headers["idempotent-replayed"]) == (200, "true")
    assert [each.trace for each in external.headers] == [trace]
    assert await api.accepted_numbers() == [body["requestUniqueNo"]]


@pytest.mark.parametrize(("headers", "limit_s"), WAITS)
async def test_an_unreachable_temporal_is_reported_and_a_later_repeat_settles(
    api_behind_proxy: ApiHarness, temporal_proxy: TcpProxy, temporal: Client, headers: dict[str, str], limit_s: float
) -> None:
    body = await check_refused(api_behind_proxy, headers, limit_s)
    await temporal_proxy.forward_to(temporal.service_client.config.target_host)
    await check_settles(api_behind_proxy, temporal, body, prefer="wait=20")


@pytest.mark.parametrize(("headers", "limit_s"), WAITS)
async def test_an_unresponsive_temporal_is_reported_and_a_later_repeat_settles(
    api_behind_proxy: ApiHarness, temporal_proxy: TcpProxy, temporal: Client, headers: dict[str, str], limit_s: float
) -> None:
    await temporal_proxy.stop_answering()
    body = await check_refused(api_behind_proxy, headers, limit_s)
    await temporal_proxy.forward_to(temporal.service_client.config.target_host)
    await check_settles(api_behind_proxy, temporal, body, prefer="wait=20")


async def test_a_temporal_that_stops_responding_on_an_open_connection_is_reported(
    api_behind_proxy: ApiHarness, temporal_proxy: TcpProxy, temporal: Client
) -> None:
    await temporal_proxy.forward_to(temporal.service_client.config.target_host)
    started = await api_behind_proxy.post(order())
    assert started.status_code == 202
    await temporal_proxy.stop_answering()
    await check_refused(api_behind_proxy, {"prefer": "wait=1"}, 4)


async def test_a_repeat_during_the_outage_gets_the_same_error(api_without_temporal: ApiHarness) -> None:
    body = order()
    answers = [await api_without_temporal.post(body) for _ in range(3)]
    assert {answer.json()["code"] for answer in answers} == {"temporal-unavailable"}
    assert await api_without_temporal.accepted_numbers() == [body["requestUniqueNo"]]


async def test_temporal_that_refuses_the_start_is_unavailable(ledger: FlakyLedger, temporal: Client) -> None:
    """A missing namespace is a configuration error, not an error of the caller."""
    target = temporal.service_client.config.target_host
    stray = await Client.connect(target, namespace="absent", data_converter=DATA_CONVERTER, lazy=True)
    async with open_api(ledger, stray) as api:
        for headers in (NO_WAIT, {"prefer": "wait=2"}):
            answer = await api.post(order(), **headers)
            assert (answer.status_code, answer.json()["code"]) == (503, "temporal-unavailable")
            assert "absent" not in answer.text


async def test_without_a_worker_the_answer_is_202_within_the_wait(api: ApiHarness) -> None:
    """Temporal itself would respond only after its own timeout."""
    body = order()
    answer, took_s = await timed(api.post(body, prefer="wait=2"))
    assert (answer.status_code, answer.json()["state"]) == (202, "ADJUSTING")
    assert answer.headers["location"] == f"{SETTLEMENTS}/{body['requestUniqueNo']}?system=default"
    assert int(answer.headers["retry-after"]) > 0
    assert took_s < 5
    await check_settles(api, api.temporal, body)


async def test_an_expired_wait_logs_no_error(api: ApiHarness, api_without_temporal: ApiHarness) -> None:
    """The client keeps the error of a cancelled call in a future. asyncio logs a traceback if it is not read."""
    complaints: list[object] = []
    loop = asyncio.get_running_loop()
    calm = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))
    try:
        assert (await api.post(order(), prefer="wait=1")).status_code == 202
        assert (await api_without_temporal.post(order(), prefer="wait=1")).status_code == 503
        gc.collect()
    finally:
        loop.set_exception_handler(calm)
    assert complaints == []


async def test_without_a_worker_and_a_wait_the_answer_is_202(api: ApiHarness) -> None:
    body = order()
    answer, took_s = await timed(api.post(body))
    assert answer.status_code == 202
    assert took_s < 6
    await check_settles(api, api.temporal, body, prefer="wait=20")


@pytest.mark.parametrize("headers", [{"prefer": "wait=20"}, NO_WAIT], ids=["wait", "no wait"])
async def test_repeat_after_the_expiry_voids_the_order_and_cancels_what_may_have_been_sent(
    api: ApiHarness, headers: dict[str, str]
) -> None:
    """The platform has given up the order, and a workflow that Temporal lost may have sent the adjust."""
    stale = settlement(accepted_at=datetime.now(UTC) - timedelta(hours=1), policy=QUICK_SETTINGS.policy)
    number = await accept(api.ledger, stale)
    external = ScriptedExternalSystem(adjust=APPLIED, cancels=[REVERSED])
    body = stale.adjust.model_dump(mode="json", exclude_none=True)
    async with api.workers(external):
        answer = await api.post(body, companyId="7", **headers)
        await api.wait_for_state(number, State.CANCELLED)
    assert answer.status_code == 200
    if headers:
        assert (answer.json()["state"], answer.json()["decision"]) == ("CANCELLING", "VOID")
    assert external.adjusts == []
