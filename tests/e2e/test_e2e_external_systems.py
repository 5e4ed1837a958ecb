"""Several external systems in one installation: one that hangs does not delay another, and secrets can be rotated.

A circuit breaker opens and closes by itself.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client

from settlement.calls import Rule
from settlement.circuit_breaker import BREAKER_LEVEL, BreakerState
from settlement.ids import workflow_id
from settlement.states import CancelResult, State
from stack.ports import HOST
from tests.e2e.conftest import System, faulty
from tests.e2e.installation import ALPHA, BETA, DELTA, GAMMA, MARKER, Gatekeeper, Installation, installed
from tests.support.cli import Ran, settlement
from tests.support.orders import id_of, new_number, order
from tests.support.polling import until
from tests.unit.connector.raw_broker import broker

AT_ONCE = 5
"""Orders at the same moment. With many on a busy machine, a worker takes one up too late and does not send it."""
ROTATIONS = 4
BROKER_IS_BACK = ("--reason", "BROKER_RECOVERED", "--note", "broker is back")
OPENS_AFTER = 3
"""Consecutive UNKNOWN outcomes that open the breaker of delta."""


@pytest_asyncio.fixture(scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with installed(tmp_path_factory.mktemp("systems")) as made:
        yield made


async def test_system_that_hangs_does_not_delay_the_orders_of_another(installation: Installation) -> None:
    await installation.hang("hang")
    hanging = asyncio.create_task(installation.settle(ALPHA, AT_ONCE))
    others = [await installation.settle(BETA, AT_ONCE) for _ in range(3)]
    assert {(each["decision"], each["system"]) for batch in others for each in batch} == {("PROCEED", "beta")}
    assert {(each["decision"], each["system"]) for each in await hanging} == {("VOID", "alpha")}
    await installation.hang("off")
    for each in await hanging:
        ended = await installation.system.ends(each["requestUniqueNo"])
        assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, CancelResult.NEVER_RECEIVED)


async def test_order_of_a_company_without_a_system_is_refused(installation: Installation) -> None:
    answer = await installation.system.post(order(), company_id=10)
    assert (answer.status, answer.body["code"]) == (422, "company-not-served")


async def test_rotated_secrets_fail_no_call_and_are_shown_nowhere(installation: Installation) -> None:
    """The secrets are planted, and then searched for in every log, database, metric, history and answer."""
    gatekeeper = installation.gatekeeper
    settled: list[dict[str, Any]] = []
    for number in range(1, ROTATIONS + 1):
        before = asyncio.create_task(installation.settle(GAMMA, AT_ONCE))
        installation.rotate(number)
        settled += [*await before, *await installation.settle(GAMMA, AT_ONCE)]
    assert gatekeeper.refused == 0
    check_rules(settled, Rule.CODE_SUCCESS)
    assert set(gatekeeper.seen) >= {f"{MARKER}-{number}" for number in range(1, ROTATIONS + 1)}

    gatekeeper.broken = True
    [void] = await installation.settle(GAMMA)
    gatekeeper.broken = False
    await installation.system.ends(void["requestUniqueNo"])
    await check_rejected_file(installation)
    await check_answers(installation, [settled[0]["requestUniqueNo"], void["requestUniqueNo"]])
    assert installation.files_with_a_secret() == []


def check_rules(settled: list[dict[str, Any]], rule: Rule) -> None:
    """Check the rule of all calls. A busy machine may send an order too late, but most orders must be sent in time."""
    rules = [call["verdict"]["rule"] for each in settled for call in each["calls"]]
    assert set(rules) <= {rule, Rule.TOO_LATE}
    assert rules.count(rule) > len(settled) / 2


async def check_rejected_file(installation: Installation) -> None:
    """Write a file with a secret in it, and wait until API and worker have rejected it."""
    good = installation.systems_file.read_text()
    installation.write(f'{good}Cookie = "{MARKER}-cookie"\n')

    async def rejected_by_both() -> bool:
        return all(
            "settlement_external_systems_current" in (text := each) and _gauge(text) == 0
            for each in await metrics(installation.system)
        )

    await until(rejected_by_both)
    ready = (await installation.system.ask("GET", "/readyz")).body
    assert (ready["ok"], ready["external_systems"]) == (True, "REJECTED")
    listed = (await installation.system.ask("GET", "/v1/external-systems")).body
    assert "systems.gamma.headers.Cookie: must be a reference" in listed["problem"]
    assert MARKER not in str(listed)
    assert MARKER not in "".join(await metrics(installation.system))
    installation.write(good)

    async def used_by_both() -> bool:
        return all(_gauge(each) == 1 for each in await metrics(installation.system))

    await until(used_by_both)


async def check_answers(installation: Installation, numbers: list[str]) -> None:
    """Look for secrets in the histories, and in every answer about these settlements."""
    system = installation.system
    temporal = await Client.connect(system.stack.temporal_address)
    for number in numbers:
        history = await temporal.get_workflow_handle(workflow_id(id_of(number, "gamma"))).fetch_history()
        assert all(MARKER.encode() not in event.SerializeToString() for event in history.events)
        for path in (f"/v1/settlements/{number}", f"/v1/settlements/{number}/explain"):
            assert MARKER not in str((await system.ask("GET", path)).body)
    for path in ("/v1/settlements?system=gamma", "/v1/external-systems/gamma", "/v1/reconciliation/findings"):
        assert MARKER not in str((await system.ask("GET", path)).body)


async def metrics(system: System) -> list[str]:
    """Return the metrics of API and worker."""
    worker = f"http://{HOST}:{system.stack.settings.worker_metrics_port}"
    texts = []
    for url in (system.stack.api_url, worker):
        async with system.http.get(f"{url}/metrics") as answer:
            texts.append(await answer.text())
    return texts


def _gauge(text: str, name: str = "settlement_external_systems_current", label: str = "") -> float:
    """Return the value of a gauge; -1 if it is missing."""
    lines = (line for line in text.splitlines() if line.startswith(name) and label in line)
    return next((float(line.rsplit(" ", 1)[1]) for line in lines), -1.0)


async def test_settlement_waits_for_a_removed_system_and_follows_a_moved_one(installation: Installation) -> None:
    """Its cancels are not used up while the entry is missing, and go to the new address afterwards."""
    system, good = installation.system, installation.systems_file.read_text()
    moved = Gatekeeper()
    moved.valid, installation.gatekeeper.broken = installation.gatekeeper.valid, True
    number = new_number()
    without = good.partition("[systems.gamma]")[0]
    async with broker(moved.answer) as there:
        posted = asyncio.create_task(system.post(order(requestUniqueNo=number), company_id=GAMMA))
        assert (await posted).body["decision"] == "VOID"
        installation.write(without)

        async def waits() -> bool:
            return "external system gamma is not configured" in (await system.get(number)).body["reason"]

        await until(waits)
        addresses = [line for line in good.splitlines() if line.startswith("base_url")]
        installation.write(good.replace(addresses[-1], f'base_url = "{there.url}"'))
        ended = await system.ends(number)
    installation.gatekeeper.broken = False
    installation.write(good)
    assert (ended["state"], ended["cancelResult"], ended["system"]) == (State.CANCELLED, CancelResult.REVERSED, "gamma")
    assert len(moved.seen) >= 1
    cancels = [call for call in ended["calls"] if call["kind"] == "FIRST"]
    assert len(cancels) <= system.stack.settings.cancel_max_attempts


async def test_the_same_number_is_settled_independently_at_two_systems(installation: Installation) -> None:
    """Each order is sent to its own broker; reconciliation, batch and command line never mix the two."""
    system, number = installation.system, new_number()
    attempts = system.stack.settings.cancel_max_attempts
    bad = faulty("http_500_applied", cancel="fail", times=attempts) | {"requestUniqueNo": number, "amount": "99.00"}
    good = order(requestUniqueNo=number)
    posted = [await system.post(body, company_id=each) for body, each in ((bad, ALPHA), (good, BETA))]
    assert [(each.body["system"], each.body["decision"]) for each in posted] == [("alpha", "VOID"), ("beta", "PROCEED")]
    ambiguous = await system.get(number)
    assert (ambiguous.status, ambiguous.body["code"]) == (409, "number-ambiguous")
    aborted = await system.ends(f"{number}?system=alpha")
    assert (aborted["state"], aborted["order"]["amount"]) == (State.ABORTED, "99.00")

    temporal = await Client.connect(system.stack.temporal_address)
    await temporal.get_workflow_handle(workflow_id(id_of(number, "alpha"))).terminate()
    await run(system, "reconcile")
    shown = await run(system, "show", number)
    assert (shown.code, "name it with --system" in shown.err) == (1, True)
    started = await run(
        system, "batch-retry", "start", "--system", "alpha", "--cause", "HTTP_STATUS", *BROKER_IS_BACK, "--yes"
    )
    assert started.code == 0, started.err
    assert started.fields()["states"] == "CANCELLED 1"
    [item] = (await run(system, "batch-retry", "report", started.fields()["batchId"], "--json")).lines()
    assert (item["requestUniqueNo"], item["system"], item["outcome"]) == (number, "alpha", "RETRIED")
    states = [(await run(system, "show", number, "--system", each, "--json")).json() for each in ("alpha", "beta")]
    assert [(each["state"], each["cancelResult"]) for each in states] == [("CANCELLED", "REVERSED"), ("SETTLED", None)]
    assert [len(each["calls"]) for each in states] == [1 + attempts + 1, 1]


async def run(system: System, *arguments: str) -> Ran:
    return await settlement(*arguments, url=system.stack.api_url)


async def breaker_is(installation: Installation, state: BreakerState) -> bool:
    """Return whether the metrics of the worker and the command `settlement systems` show this state for delta."""
    _, worker = await metrics(installation.system)
    if _gauge(worker, "settlement_breaker_state", 'system="delta"') != BREAKER_LEVEL[state]:
        return False
    rows = (await run(installation.system, "systems", "list")).rows()
    shown = {row[0]: row[rows[0].index("breaker")] for row in rows[1:]}
    assert {name: each for name, each in shown.items() if name != "delta"} == dict.fromkeys(
        ("alpha", "beta", "gamma"), "off"
    )
    fields = (await run(installation.system, "systems", "show", "delta")).fields()
    return shown["delta"] == state and fields["breaker"] == state


async def test_breaker_opens_and_closes_by_itself(installation: Installation) -> None:
    """While it is open, orders of its system are void without a call, those of others proceed, and cancels continue."""
    await installation.hang("hang")
    hanging = await installation.settle(DELTA, OPENS_AFTER)
    assert {each["decision"] for each in hanging} == {"VOID"}
    await until(lambda: breaker_is(installation, BreakerState.OPEN), what="the open breaker")

    refused = await installation.settle(DELTA, AT_ONCE)
    assert {(each["state"], each["decision"]) for each in refused} == {(State.EXPIRED, "VOID")}
    check_rules(refused, Rule.BREAKER_OPEN)
    check_rules(await installation.settle(BETA, AT_ONCE), Rule.CODE_SUCCESS)
    assert [await installation.received(each["requestUniqueNo"]) for each in refused] == [0] * AT_ONCE
    explained = await run(installation.system, "explain", refused[0]["requestUniqueNo"])
    assert "The circuit breaker of the external system delta is OPEN now" in explained.out
    await check_reload_keeps_the_breaker(installation)

    await installation.hang("off")
    for each in hanging:
        ended = await installation.system.ends(each["requestUniqueNo"])
        assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, CancelResult.NEVER_RECEIVED)
    await until(lambda: closes_with_an_order(installation), what="the closed breaker")
    await until(lambda: breaker_is(installation, BreakerState.CLOSED), what="the closed breaker in metrics and CLI")


async def check_reload_keeps_the_breaker(installation: Installation) -> None:
    """Change another value of the entry, and wait until the worker uses it: the breaker is still open."""
    log = installation.system.stack.state_dir / "logs" / "worker.log"
    before = log.read_text().count("configuration file loaded")
    good = installation.systems_file.read_text()
    installation.write(good.replace("open_s = 60", "open_s = 61"))

    async def loaded() -> bool:
        return log.read_text().count("configuration file loaded") > before

    await until(loaded, what="the changed file")
    check_rules(await installation.settle(DELTA, OPENS_AFTER), Rule.BREAKER_OPEN)
    installation.write(good)


async def closes_with_an_order(installation: Installation) -> bool:
    """Return whether an order proceeds: as the probe, or because another call has closed the breaker."""
    [settled] = await installation.settle(DELTA)
    return bool(settled["decision"] == "PROCEED")
