"""Above the four-eyes amount one client proposes a resolution and another one approves it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from temporalio.client import Client

from settlement.keys import Role
from settlement.states import State
from settlement.update_signature import UpdateSigner
from tests.api.aborted_settlements import BROKER_IS_BACK, EVIDENCE, RESOLUTION, RETRY
from tests.api.api_harness import SETTLEMENTS, WITH_KEYS, ApiHarness, bearer, open_api_with_temporal, terminate
from tests.support.ledgers import FlakyLedger
from tests.support.orders import order
from tests.support.polling import until
from tests.support.scripted import UNKNOWN, ScriptedExternalSystem
from tests.support.story_acts import FAILED

APPROVALS, WITHDRAWALS = "resolution-approvals", "resolution-withdrawals"
FOUR_EYES = WITH_KEYS.model_copy(update={"four_eyes_above": "USD=12.49,*=1000"})
"""The usual order of the tests, 12.50 USD, is above it."""


@dataclass
class Desk:
    """An aborted settlement, and the operators who look at it."""

    api: ApiHarness
    number: str
    keys: dict[str, str]

    async def act(self, who: str, kind: str, **body: object) -> httpx2.Response:
        """Let an operator act."""
        return await self.api.act(self.number, kind, body, **bearer(self.keys[who]))

    async def read(self, what: str = "") -> dict[str, Any]:
        """Read the settlement as an operator."""
        answer = await self.api.http.get(f"{SETTLEMENTS}/{self.number}{what}", headers=bearer(self.keys["ops-1"]))
        return dict(answer.json())


@pytest_asyncio.fixture
async def four_eyes(ledger: FlakyLedger, temporal: Client) -> AsyncIterator[ApiHarness]:
    """Yield the app with a four-eyes amount."""
    async with open_api_with_temporal(ledger, temporal, FOUR_EYES) as opened:
        yield opened


@asynccontextmanager
async def desk(api: ApiHarness, **fields: object) -> AsyncIterator[Desk]:
    """Bring a settlement to ABORTED, in front of three keys of two operators."""
    body = order(**fields)
    keys = {client: await api.create_key(Role.OPERATOR, client) for client in ("ops-1", "ops-2")}
    keys["ops-1b"] = await api.create_key(Role.OPERATOR, "ops-1")
    platform = await api.create_key(Role.PLATFORM)
    async with api.workers(ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED, FAILED])):
        assert (await api.post(body, prefer="wait=20", **bearer(platform))).status_code == 201
        made = Desk(api, body["requestUniqueNo"], keys)

        async def is_aborted() -> bool:
            return bool((await made.read())["state"] == State.ABORTED)

        await until(is_aborted, what="ABORTED")
        yield made


async def test_resolution_is_proposed_by_one_client_and_approved_by_another(four_eyes: ApiHarness) -> None:
    async with desk(four_eyes) as at:
        proposed = await at.act("ops-1", RESOLUTION, **EVIDENCE)
        explained = await at.read("/explain")
        own = await at.act("ops-1b", APPROVALS, proposalNo=0, note="fine")
        approved = await at.act("ops-2", APPROVALS, proposalNo=0, note="fine")
        shown = await at.read()
    assert (proposed.status_code, proposed.json()["state"]) == (202, "ABORTED")
    assert proposed.json()["needsSecondOperator"] is True
    proposal = proposed.json()["resolutionProposal"]
    assert {**proposal, "keyId": None, "at": None} == {
        "proposalNo": 0,
        "operator": "ops-1",
        **EVIDENCE,
        "keyId": None,
        "at": None,
    }
    assert "ops-1 has proposed OTHER" in explained["next"]["text"]
    assert any("--proposal 0" in command for command in explained["next"]["commands"])
    assert (own.status_code, own.json()["code"]) == (403, "second-operator-required")
    assert (approved.status_code, approved.json()["state"]) == (200, "RESOLVED")
    assert approved.json() == shown
    assert [(act["kind"], act["operator"], act["proposalNo"]) for act in shown["operatorActions"]] == [
        ("PROPOSE_RESOLUTION", "ops-1", None),
        ("APPROVE_RESOLUTION", "ops-2", 0),
    ]
    assert shown["resolutionProposal"] == proposal


async def test_each_act_is_idempotent(four_eyes: ApiHarness) -> None:
    """Also with the other key of the client, and at the same time."""
    async with desk(four_eyes) as at:
        at_once = await asyncio.gather(*(at.act("ops-1", RESOLUTION, **EVIDENCE) for _ in range(3)))
        proposed = await at.act("ops-1b", RESOLUTION, **EVIDENCE)
        withdrawals = [await at.act("ops-2", WITHDRAWALS, proposalNo=0, note="wrong") for _ in range(2)]
        await at.act("ops-1", RESOLUTION, **EVIDENCE)
        approvals = [await at.act("ops-2", APPROVALS, proposalNo=2, note="fine") for _ in range(2)]
        late = await at.act("ops-1", RESOLUTION, **EVIDENCE)
        acts = (await at.read())["operatorActions"]
    assert {answer.status_code for answer in at_once} == {202}
    assert (proposed.status_code, proposed.headers["idempotent-replayed"]) == (202, "true")
    for first, again in (withdrawals, approvals):
        assert (first.status_code, again.status_code) == (200, 200)
        assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
        assert first.json() == again.json()
    assert withdrawals[0].json()["resolutionProposal"] is None
    assert (late.status_code, late.json()["state"]) == (200, "RESOLVED")
    assert len(acts) == 4


async def test_approval_of_a_replaced_or_cleared_proposal_is_rejected(four_eyes: ApiHarness) -> None:
    async with desk(four_eyes) as at:
        await at.act("ops-1", RESOLUTION, **EVIDENCE)
        replaced = await at.act("ops-1", RESOLUTION, **EVIDENCE | {"brokerReference": "ticket 18"})
        outdated = await at.act("ops-2", APPROVALS, proposalNo=0, note="fine")
        assert (await at.act("ops-1", RETRY, **BROKER_IS_BACK)).status_code == 202

        async def is_aborted_again() -> bool:
            return bool((await at.read())["state"] == State.ABORTED)

        await until(is_aborted_again, what="ABORTED")
        cleared = await at.act("ops-2", APPROVALS, proposalNo=1, note="fine")
        shown = await at.read()
    assert replaced.json()["resolutionProposal"]["proposalNo"] == 1
    assert (outdated.status_code, outdated.json()["code"]) == (409, "wrong-state")
    assert "which is 1" in outdated.json()["detail"]
    assert cleared.status_code == 409
    assert shown["resolutionProposal"] is None


async def test_proposal_survives_the_loss_of_the_workflow(four_eyes: ApiHarness) -> None:
    async with desk(four_eyes) as at:
        await at.act("ops-1", RESOLUTION, **EVIDENCE)
        await terminate(four_eyes.temporal, at.number)
        approved = await at.act("ops-2", APPROVALS, proposalNo=0, note="fine")
    assert (approved.status_code, approved.json()["state"]) == (200, "RESOLVED")


async def test_at_the_amount_one_operator_is_enough(ledger: FlakyLedger, temporal: Client) -> None:
    exact = WITH_KEYS.model_copy(update={"four_eyes_above": "USD=12.50"})
    async with open_api_with_temporal(ledger, temporal, exact) as api, desk(api) as at:
        approval = await at.act("ops-2", APPROVALS, proposalNo=0, note="fine")
        resolved = await at.act("ops-1", RESOLUTION, **EVIDENCE)
    assert approval.status_code == 409
    assert (resolved.status_code, resolved.json()["state"]) == (200, "RESOLVED")
    assert resolved.json()["needsSecondOperator"] is False


async def test_other_key_than_the_workers_is_reported_and_nothing_is_done(
    four_eyes: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer names the setting and no key."""
    other = UpdateSigner(b"another-key-of-the-api-of-32-bytes-or-more")
    async with desk(four_eyes) as at:
        monkeypatch.setattr(four_eyes.app.state, "services", replace(four_eyes.app.state.services, signer=other))
        answer = await at.act("ops-1", RESOLUTION, **EVIDENCE)
        shown = await at.read()
    assert (answer.status_code, answer.json()["code"]) == (503, "signing-keys-differ")
    assert "SETTLEMENT_UPDATE_SIGNING_KEY" in answer.json()["detail"]
    assert "another-key" not in answer.text
    assert (shown["state"], shown["operatorActions"]) == ("ABORTED", [])
