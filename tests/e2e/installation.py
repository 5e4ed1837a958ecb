"""One installation with several external systems, as the tests share it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stack.parts import running_simulator
from tests.e2e.conftest import System, e2e_settings, running
from tests.support.orders import order
from tests.support.polling import until
from tests.unit.connector.raw_broker import SUCCESS, Peer, broker, reply

MARKER = "Xk29-correct-horse-battery-staple"
ENV_SECRET = f"{MARKER}-env"
ALPHA, BETA, GAMMA, DELTA = 7, 8, 9, 11
"""The company of each external system."""


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
    """The stack with four external systems, and what the tests do to them. Alpha and delta have the same broker."""

    system: System
    folder: Path
    alpha_url: str
    gatekeeper: Gatekeeper

    @property
    def systems_file(self) -> Path:
        """The file that the settings name."""
        return self.folder / "systems.toml"

    async def hang(self, mode: str) -> None:
        """Begin or end an outage of the broker of alpha and delta."""
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

    async def received(self, number: str) -> int:
        """Return how many requests about a number have reached the broker of alpha and delta."""
        url = f"{self.alpha_url}/simulator/calls"
        async with self.system.http.get(url, params={"number": number}) as answer:
            return len((await answer.json())["calls"])

    def files_with_a_secret(self) -> list[Path]:
        """Return the logs and databases that contain a secret."""
        state = self.system.stack.state_dir
        return [path for path in state.rglob("*") if path.is_file() and MARKER.encode() in path.read_bytes()]


def systems_file(alpha: str, beta: str, gamma: str, token_file: Path) -> str:
    return f"""
[systems.alpha]
companies = [{ALPHA}]
base_url = "{alpha}"
[systems.beta]
companies = [{BETA}]
base_url = "{beta}"
[systems.delta]
companies = [{DELTA}]
base_url = "{alpha}"
[systems.delta.retry]
max_attempts = 20
[systems.delta.breaker]
unknowns = 3
open_s = 60
cancels_per_min = 60
[systems.gamma]
companies = [{GAMMA}]
base_url = "{gamma}"
[systems.gamma.headers]
Authorization = {{ file = "{token_file}", prefix = "Bearer " }}
X-Api-Key = {{ env = "GAMMA_KEY" }}
"""


@asynccontextmanager
async def installed(folder: Path) -> AsyncIterator[Installation]:
    """Run the stack with its external systems."""
    gatekeeper = Gatekeeper()
    async with AsyncExitStack() as parts:
        alpha = await parts.enter_async_context(running_simulator(folder, "alpha"))
        beta = await parts.enter_async_context(running_simulator(folder, "beta"))
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
