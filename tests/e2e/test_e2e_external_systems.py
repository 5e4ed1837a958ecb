"""Several external systems in one installation: one that hangs does not delay another, and secrets can be rotated."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from temporalio.client import Client

from settlement.calls import Rule
from settlement.ids import workflow_id
from settlement.states import CancelResult, State
from stack.parts import ROOT
from stack.ports import HOST, free_port
from stack.process import Process
from tests.e2e.conftest import System, e2e_settings, faulty, running
from tests.support.cli import Ran, settlement
from tests.support.orders import id_of, new_number, order
from tests.support.polling import until
from tests.unit.connector.raw_broker import SUCCESS, Peer, broker, reply

MARKER = "Xk29-correct-horse-battery-staple"
ENV_SECRET = f"{MARKER}-env"
ALPHA, BETA, GAMMA = 7, 8, 9
"""The company of each external system."""
AT_ONCE = 10
ROTATIONS = 4
BROKER_IS_BACK = ("--reason", "BROKER_RECOVERED", "--note", "broker is back")


class Gatekeeper:
    """A broker that answers only requests with one of the valid tokens and the key from the environment."""

    def __init__(self) -> None:
        self.valid: set[str] = set()
        self.seen: list[str] = []
        self.refused = 0
        self.broken = False

    async def answer(self, peer: Peer) -> None:
        """Answer one request."""
        token = peer.request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.seen.append(token)
        if token not in self.valid or peer.request.headers.get("X-Api-Key") != ENV_SECRET:
            self.refused += 1
            await peer.send(reply(b"", status="401 Unauthorized"))
        elif self.broken:
            await peer.send(reply(b"", status="500 Internal Server Error"))
        else:
            await peer.send(reply(SUCCESS))


@dataclass
class Installation:
    """The stack with three external systems, and what the tests do to them."""

    system: System
    folder: Path
    alpha_url: str
    gatekeeper: Gatekeeper

    @property
    def systems_file(self) -> Path:
        """The file that the settings name."""
        return self.folder / "systems.toml"

    async def hang(self, mode: str) -> None:
        """Begin or end an outage of alpha."""
        async with self.system.http.put(f"{self.alpha_url}/simulator/outage", json={"mode": mode}) as answer:
            assert answer.status == 200

    async def settle(self, company_id: int, count: int = 1) -> list[dict[str, Any]]:
        """Post orders of a company at once, and return their settlements at the decision."""
        return list(await asyncio.gather(*(self._decided(order(), company_id) for _ in range(count))))

    async def _decided(self, body: dict[str, Any], company_id: int) -> dict[str, Any]:
        posted = (await self.system.post(body, company_id=company_id)).body

        async def decided() -> dict[str, Any] | None:
            found = (await self.system.get(body["requestUniqueNo"])).body
            return found if found["decision"] else None

        return posted if posted["decision"] else await until(decided)

    def rotate(self, number: int) -> None:
        """Replace the token atomically, after the broker has accepted it. The last one stays valid for a moment."""
        token = f"{MARKER}-{number}"
        self.gatekeeper.valid = {token, f"{MARKER}-{number - 1}"}
        written = self.folder / "token.new"
        written.write_text(f"{token}\n")
        written.replace(self.folder / "token")

    def write(self, text: str) -> None:
        """Replace the file of external systems."""
        self.systems_file.write_text(text)

    def files_with_a_secret(self) -> list[Path]:
        """Return the logs and databases that contain a secret."""
        state = self.system.stack.state_dir
        return [path for path in state.rglob("*") if path.is_file() and MARKER.encode() in path.read_bytes()]


@asynccontextmanager
async def simulator(folder: Path, name: str) -> AsyncIterator[str]:
    """Run one simulator, and yield its address."""
    url = f"http://{HOST}:{(port := free_port())}"
    command = [sys.executable, "-m", "simulator", "--host", HOST, "--port", str(port), "--database", str(folder / name)]

    async def ready() -> bool:
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{url}/simulator/health") as answer:
                return answer.ok
        except aiohttp.ClientError:
            return False

    process = Process(name, command, {"PYTHONPATH": str(ROOT)}, folder, ready)
    await process.start()
    try:
        yield url
    finally:
        await process.stop()


def systems_file(alpha: str, beta: str, gamma: str, token_file: Path) -> str:
    return f"""
[systems.alpha]
companies = [{ALPHA}]
base_url = "{alpha}"
[systems.beta]
companies = [{BETA}]
base_url = "{beta}"
[systems.gamma]
companies = [{GAMMA}]
base_url = "{gamma}"
[systems.gamma.headers]
Authorization = {{ file = "{token_file}", prefix = "Bearer " }}
X-Api-Key = {{ env = "GAMMA_KEY" }}
"""


@pytest_asyncio.fixture(scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    folder, gatekeeper = tmp_path_factory.mktemp("systems"), Gatekeeper()
    async with AsyncExitStack() as parts:
        alpha = await parts.enter_async_context(simulator(folder, "alpha"))
        beta = await parts.enter_async_context(simulator(folder, "beta"))
        gamma = await parts.enter_async_context(broker(gatekeeper.answer))
        (folder / "systems.toml").write_text(systems_file(alpha, beta, gamma.url, folder / "token"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GAMMA_KEY", ENV_SECRET)
            settings = e2e_settings(
                folder / "state", external_systems=folder / "systems.toml", worker_slots=40, cancel_initial_interval_s=2
            )
            system = await parts.enter_async_context(running(settings))
        made = Installation(system, folder, alpha, gatekeeper)
        made.rotate(0)
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
    # A busy machine may send an order too late, but no call that was sent may fail.
    rules = [call["verdict"]["rule"] for each in settled for call in each["calls"]]
    assert set(rules) <= {Rule.CODE_SUCCESS, Rule.TOO_LATE}
    assert rules.count(Rule.CODE_SUCCESS) > len(settled) / 2
    assert set(gatekeeper.seen) >= {f"{MARKER}-{number}" for number in range(1, ROTATIONS + 1)}

    gatekeeper.broken = True
    [void] = await installation.settle(GAMMA)
    gatekeeper.broken = False
    await installation.system.ends(void["requestUniqueNo"])
    await check_rejected_file(installation)
    await check_answers(installation, [settled[0]["requestUniqueNo"], void["requestUniqueNo"]])
    assert installation.files_with_a_secret() == []


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


def _gauge(text: str) -> float:
    """Return the value of the gauge; -1 if it is missing."""
    lines = (line for line in text.splitlines() if line.startswith("settlement_external_systems_current"))
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
        installation.write(good.replace(addresses[2], f'base_url = "{there.url}"'))
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
        system, "batch-retry", "start", "--company", str(ALPHA), "--cause", "HTTP_STATUS", *BROKER_IS_BACK, "--yes"
    )
    assert (started.code, started.fields()["states"]) == (0, "CANCELLED 1"), started.err
    [item] = (await run(system, "batch-retry", "report", started.fields()["batchId"], "--json")).lines()
    assert (item["requestUniqueNo"], item["system"], item["outcome"]) == (number, "alpha", "RETRIED")
    states = [(await run(system, "show", number, "--system", each, "--json")).json() for each in ("alpha", "beta")]
    assert [(each["state"], each["cancelResult"]) for each in states] == [("CANCELLED", "REVERSED"), ("SETTLED", None)]
    assert [len(each["calls"]) for each in states] == [1 + attempts + 1, 1]


async def run(system: System, *arguments: str) -> Ran:
    return await settlement(*arguments, url=system.stack.api_url)
