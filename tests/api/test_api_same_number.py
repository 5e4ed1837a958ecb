"""The same requestUniqueNo at two external systems: two settlements, and no answer that could mean either of them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from temporalio.client import Client

from settlement.keys import Role
from settlement.scope import Companies
from settlement.snapshot import Snapshot, StateChange
from settlement.states import Decision, State
from tests.api.api_harness import SETTLEMENTS, ApiHarness, accept, bearer
from tests.api.systems_file import TWO, load, open_with_systems
from tests.support.ledgers import FlakyLedger
from tests.support.orders import order, settlement

NO = "ORD-1"
WHY = {"reasonCode": "BROKER_RECOVERED", "note": "broker is back"}
EVIDENCE = {"reasonCode": "REVERSED_BY_BROKER", "note": "by hand", "brokerReference": "ticket 1"}
NOT_STARTED = (503, "temporal-unavailable")
"""Answer to an order that was accepted: there is no Temporal."""
PATHS = ["", "/explain", "/events"]


@pytest_asyncio.fixture
async def api(ledger: FlakyLedger, dead_temporal: Client, systems_file: Path) -> AsyncIterator[ApiHarness]:
    """Yield the app with alpha (company 7), beta (8 and 9) and keys, and no Temporal."""
    async with open_with_systems(ledger, dead_temporal, systems_file) as opened:
        yield opened


async def key(api: ApiHarness, role: Role, companies: Companies = "all") -> dict[str, str]:
    """Return the header with a new key."""
    return bearer(await api.create_key(role, "-".join(["of", *map(str, companies)]), companies))


async def post(api: ApiHarness, company: int, companies: Companies = "all", **fields: Any) -> httpx2.Response:  # noqa: ANN401 - any field
    """Post an order with the number."""
    headers = await key(api, Role.PLATFORM, companies)
    fixed = {"requestUniqueNo": NO, "requestTime": 1_767_571_200_000} | fields
    return await api.post(order(**fixed), companyId=str(company), **headers)


async def ended(api: ApiHarness, state: State = State.SETTLED) -> None:
    """Write a settlement of company 7 at alpha and one of company 8 at beta, both with the number."""
    decision = Decision.PROCEED if state is State.SETTLED else Decision.VOID
    for company, system in ((7, "alpha"), (8, "beta")):
        made = settlement(requestUniqueNo=NO, company_id=company, system=system)
        at = made.accepted_at
        change = StateChange(state=state, at=at, reason="planted")
        snapshot = Snapshot(
            version=1, state=state, decision=decision, decided_at=at, updated_at=at, state_changes=(change,)
        )
        await accept(api.ledger, made, snapshot)


def problem(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_number_that_another_system_uses_is_free(api: ApiHarness) -> None:
    """A client neither reads nor blocks the numbers of another client's company."""
    assert problem(await post(api, 7, (7,))) == NOT_STARTED
    assert problem(await post(api, 8, (8,), amount="99.00")) == NOT_STARTED
    for company, system in ((7, "alpha"), (8, "beta")):
        read = await api.http.get(f"{SETTLEMENTS}/{NO}", headers=await key(api, Role.VIEWER, (company,)))
        assert (read.status_code, read.json()["system"], read.json()["companyId"]) == (200, system, company)


async def test_a_number_is_taken_only_at_its_own_system(api: ApiHarness) -> None:
    assert problem(await post(api, 8, (8,))) == NOT_STARTED
    assert problem(await post(api, 9, (9,))) == (409, "number-taken")
    assert problem(await post(api, 9, (8, 9))) == (409, "number-reused")
    assert problem(await post(api, 7, (7,))) == NOT_STARTED
    assert sorted(str(each) for each in await api.ledger.with_number(NO)) == ["alpha:ORD-1", "beta:ORD-1"]


async def test_an_order_is_not_settled_again_after_its_company_has_moved(api: ApiHarness, systems_file: Path) -> None:
    """That would be a second adjust, at the other system."""
    assert problem(await post(api, 7)) == NOT_STARTED
    await load(api, systems_file, TWO.replace("companies = [7]", "companies = []").replace("[8, 9]", "[7, 8, 9]"))
    assert problem(await post(api, 7)) == NOT_STARTED
    assert [each.system for each in await api.ledger.with_number(NO)] == ["alpha"]
    other = await post(api, 7, amount="99.00")
    assert problem(other) == (409, "number-reused")
    assert other.headers["location"] == f"{SETTLEMENTS}/{NO}?system=alpha"
    assert problem(await post(api, 7, requestUniqueNo="ORD-2")) == NOT_STARTED
    assert [each.system for each in await api.ledger.with_number("ORD-2")] == ["beta"]


async def test_a_paused_system_does_not_refuse_a_repetition_after_the_move(api: ApiHarness, systems_file: Path) -> None:
    assert problem(await post(api, 7)) == NOT_STARTED
    await load(api, systems_file, TWO.replace("companies = [7]", "companies = []").replace("[8, 9]", "[7, 8, 9]"))
    await api.http.post(
        "/v1/external-systems/beta/pause", json={"note": "maintenance"}, headers=await key(api, Role.OPERATOR)
    )
    assert problem(await post(api, 7)) == NOT_STARTED
    assert problem(await post(api, 8)) == (503, "external-system-paused")


@pytest.mark.parametrize("path", PATHS)
async def test_an_ambiguous_number_is_refused_and_the_answer_names_the_systems(api: ApiHarness, path: str) -> None:
    await ended(api)
    everything = await key(api, Role.VIEWER)
    refused = await api.http.get(f"{SETTLEMENTS}/{NO}{path}", headers=everything)
    assert problem(refused) == (409, "number-ambiguous")
    assert "at the external systems alpha, beta;" in refused.json()["detail"]
    for system in ("alpha", "beta"):
        answer = await api.http.get(f"{SETTLEMENTS}/{NO}{path}", params={"system": system}, headers=everything)
        assert answer.status_code == 200
        assert f'"system":"{system}"' in answer.text
    for params in ({"system": "gamma"}, {"system": "default"}):
        unknown = await api.http.get(f"{SETTLEMENTS}/{NO}{path}", params=params, headers=everything)
        assert problem(unknown) == (404, "not-found")
    malformed = await api.http.get(f"{SETTLEMENTS}/{NO}{path}", params={"system": "Alpha"}, headers=everything)
    assert problem(malformed) == (422, "validation-failed")
    assert malformed.json()["errors"][0]["field"] == "system"


@pytest.mark.parametrize("path", PATHS)
async def test_a_number_is_ambiguous_only_within_the_scope(api: ApiHarness, path: str) -> None:
    """Outside the scope nothing exists, also if the request names the system."""
    await ended(api)
    for company, own, foreign in ((7, "alpha", "beta"), (8, "beta", "alpha")):
        scoped = await key(api, Role.VIEWER, (company,))
        read = await api.http.get(f"{SETTLEMENTS}/{NO}{path}", headers=scoped)
        assert read.status_code == 200
        assert f'"system":"{own}"' in read.text
        assert foreign not in read.text
        named = await api.http.get(f"{SETTLEMENTS}/{NO}{path}", params={"system": foreign}, headers=scoped)
        assert problem(named) == (404, "not-found")
    neither = await key(api, Role.VIEWER, (9,))
    assert problem(await api.http.get(f"{SETTLEMENTS}/{NO}{path}", headers=neither)) == (404, "not-found")


@pytest.mark.parametrize(("action", "body"), [("cancel-adjust-retries", WHY), ("resolution", EVIDENCE)])
async def test_an_operator_action_on_an_ambiguous_number_is_refused(
    api: ApiHarness, action: str, body: dict[str, str]
) -> None:
    """It must not reach the wrong money."""
    await ended(api, State.ABORTED)
    everything = await key(api, Role.OPERATOR)
    refused = await api.http.post(f"{SETTLEMENTS}/{NO}/{action}", json=body, headers=everything)
    assert problem(refused) == (409, "number-ambiguous")
    named = await api.http.post(f"{SETTLEMENTS}/{NO}/{action}?system=beta", json=body, headers=everything)
    assert problem(named) == NOT_STARTED
    scoped = await key(api, Role.OPERATOR, (7,))
    foreign = await api.http.post(f"{SETTLEMENTS}/{NO}/{action}?system=beta", json=body, headers=scoped)
    assert problem(foreign) == (404, "not-found")


async def test_commands_and_links_name_the_system(api: ApiHarness) -> None:
    await ended(api, State.ABORTED)
    viewer = await key(api, Role.VIEWER)
    explained = (await api.http.get(f"{SETTLEMENTS}/{NO}/explain?system=beta", headers=viewer)).json()
    assert all(f"{NO} --system beta " in command for command in explained["next"]["commands"])
    again = await api.http.get(f"{SETTLEMENTS}?requestUniqueNo={NO}&limit=1", headers=viewer)
    rest = await api.http.get(
        SETTLEMENTS, params={"requestUniqueNo": NO, "cursor": again.json()["nextCursor"]}, headers=viewer
    )
    listed = [each["system"] for page in (again, rest) for each in page.json()["items"]]
    assert sorted(listed) == ["alpha", "beta"]
