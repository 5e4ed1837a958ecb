"""The stack with API keys: the first key from the command line, then keys and permissions over HTTP."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from settlement.states import State
from stack.parts import ROOT
from tests.e2e.conftest import System, faulty, restarted
from tests.support.orders import order
from tests.support.polling import until

PEPPER = "pepper of this test, 32 bytes or more"
RETRY = {"reasonCode": "BROKER_RECOVERED", "note": "broker is back"}


@pytest_asyncio.fixture(scope="module")
async def locked(system: System) -> AsyncIterator[System]:
    """Return a stack whose API requires keys."""
    async with restarted(system.stack.api, auth="on", api_key_pepper=PEPPER):
        yield system


async def first_key(system: System, *arguments: str) -> str:
    """Create an admin key as an operator does."""
    env = {"SETTLEMENT_DATABASE_URL": system.stack.settings.ledger_url, "SETTLEMENT_API_KEY_PEPPER": PEPPER}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api.first_key", *arguments),
        cwd=ROOT,
        env=os.environ | env,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return out.decode().strip()


class Caller:
    """A caller with a key, or without one."""

    def __init__(self, system: System, key: str | None) -> None:
        self._system = system
        self.api_key = key
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Send a request; return status and body."""
        url = self._system.stack.api_url + path
        headers = self._headers | {"Prefer": "wait=15"}
        async with self._system.http.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def key(self, client: str, role: str) -> "Caller":
        """Create a key, and return a caller with it."""
        status, made = await self.ask("POST", "/v1/api-keys", {"client": client, "role": role, "companies": "all"})
        assert status == 201
        return Caller(self._system, made["apiKey"])

    async def sees(self, number: str, state: State) -> dict[str, Any]:
        """Wait until a settlement is in a state, and return it."""

        async def probe() -> dict[str, Any] | None:
            status, body = await self.ask("GET", f"/v1/settlements/{number}")
            return body if status == 200 and body["state"] == state else None

        return await until(probe, limit_s=60, what=f"{number} in {state}")


async def test_from_the_first_key_to_an_audited_action(locked: System) -> None:
    admin = Caller(locked, await first_key(locked, "boss"))
    platform, viewer, operator = [await admin.key(f"{role}-1", role) for role in ("platform", "viewer", "operator")]
    without_key = Caller(locked, None)
    body = faulty("hang_applied", cancel="fail", times=3)
    number = body["requestUniqueNo"]
    for caller, status in ((without_key, 401), (viewer, 403), (operator, 403), (admin, 403), (platform, 201)):
        assert (await caller.ask("POST", "/v1/settlements", body))[0] == status
    await viewer.sees(number, State.ABORTED)
    retry = f"/v1/settlements/{number}/cancel-adjust-retries"
    for caller, status in ((without_key, 401), (viewer, 403), (platform, 403), (admin, 403), (operator, 202)):
        assert (await caller.ask("POST", retry, RETRY))[0] == status
    ended = await viewer.sees(number, State.CANCELLED)
    keys = {key["client"]: key["keyId"] for key in (await admin.ask("GET", "/v1/api-keys"))[1]["items"]}
    assert [(act["operator"], act["keyId"]) for act in ended["operatorActions"]] == [("operator-1", keys["operator-1"])]
    assert ended["submittedBy"] == {"client": "platform-1", "keyId": keys["platform-1"]}
    assert (await admin.ask("GET", f"/v1/settlements/{number}"))[0] == 403
    await _check_revocation(admin, platform)


async def _check_revocation(admin: Caller, platform: Caller) -> None:
    """Revoke the platform's key, and check that it is rejected."""
    keys = (await admin.ask("GET", "/v1/api-keys"))[1]["items"]
    (key_id,) = [key["keyId"] for key in keys if key["role"] == "platform"]
    for _ in range(2):
        assert (await admin.ask("POST", f"/v1/api-keys/{key_id}/revocation"))[0] == 200
    status, problem = await platform.ask("POST", "/v1/settlements", order())
    assert (status, problem["code"]) == (401, "unauthenticated")


async def test_no_secret_is_in_any_log(locked: System) -> None:
    key = await first_key(locked, "auditor", "--force")
    admin = Caller(locked, key)
    assert (await admin.ask("GET", "/v1/api-keys"))[0] == 200
    logs = text_of(locked.stack.log_dir)
    assert "api key created" in logs
    assert PEPPER not in logs
    assert key.partition(".")[2] not in logs
    assert "Bearer" not in logs


def text_of(folder: Path) -> str:
    """Return the text of all files of a folder."""
    return "".join(path.read_text() for path in folder.iterdir())
