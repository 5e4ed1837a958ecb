"""Which external system an order gets, what the API says of external systems, and how operators pause them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from temporalio.client import Client

from settlement.keys import Role
from tests.api.api_harness import ApiHarness, bearer
from tests.api.systems_file import SECRET, TWO, load, open_with_systems
from tests.support.ledgers import FlakyLedger
from tests.support.orders import id_of, order

SYSTEMS = "/v1/external-systems"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
DEFAULT = '[systems.other]\ndefault = true\nbase_url = "https://other.example"'


@pytest_asyncio.fixture
async def api(ledger: FlakyLedger, dead_temporal: Client, systems_file: Path) -> AsyncIterator[ApiHarness]:
    """Yield the app with two external systems and keys, and no Temporal."""
    async with open_with_systems(ledger, dead_temporal, systems_file) as opened:
        yield opened


async def key(api: ApiHarness, role: Role) -> dict[str, str]:
    """Return the header with the key of a role, the same one in each call."""
    keys: dict[Role, str] = api.app.state.__dict__.setdefault("keys_of_this_test", {})
    if role not in keys:
        keys[role] = await api.create_key(role)
    return bearer(keys[role])


async def post(api: ApiHarness, number: str = "N-1", company: int | None = 7) -> httpx2.Response:
    """Post an order as the platform."""
    headers = {} if company is None else {"companyId": str(company)}
    return await api.post(order(requestUniqueNo=number), **headers, **await key(api, Role.PLATFORM))


async def act(api: ApiHarness, action: str, note: str = "broker maintenance") -> httpx2.Response:
    """Pause or resume alpha as an operator."""
    headers = await key(api, Role.OPERATOR)
    return await api.http.post(f"{SYSTEMS}/alpha/{action}", json={"note": note}, headers=headers)


def problem(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize(("company", "system", "attempts"), [(7, "alpha", 9), (9, "beta", 1)])
async def test_order_gets_the_system_of_its_company_and_its_policy(
    api: ApiHarness, company: int, system: str, attempts: int
) -> None:
    await post(api, company=company)
    found = await api.ledger.find(id_of("N-1", system))
    assert found is not None
    assert (found.settlement.system, found.settlement.policy.cancel_max_attempts) == (system, attempts)
    answer = await api.http.get("/v1/settlements/N-1", headers=await key(api, Role.VIEWER))
    assert answer.json()["system"] == system


@pytest.mark.parametrize(("company", "rule"), [(10, "no external system serves"), (None, "is required")])
async def test_order_that_no_system_serves_is_refused_and_nothing_is_stored(
    api: ApiHarness, company: int | None, rule: str
) -> None:
    answer = await post(api, company=company)
    assert problem(answer) == (422, "company-not-served")
    (error,) = answer.json()["errors"]
    assert error["field"] == "companyId"
    assert rule in error["rule"]
    assert await api.accepted_numbers() == []


async def test_repeated_order_gets_its_settlement_whatever_the_file_says_now(
    api: ApiHarness, systems_file: Path
) -> None:
    await post(api)
    await load(api, systems_file, DEFAULT)
    repeated = await post(api)
    # Without Temporal it is not started, but it is not refused either.
    assert problem(repeated) == (503, "temporal-unavailable")
    await load(api, systems_file, TWO.replace("companies = [7]", "companies = []"))
    assert problem(await post(api)) == (503, "temporal-unavailable")
    assert problem(await post(api, "N-2")) == (422, "company-not-served")
    found = await api.ledger.find(id_of("N-1", "alpha"))
    assert found is not None
    assert found.settlement.system == "alpha"


async def test_changed_file_applies_to_the_next_order(api: ApiHarness, systems_file: Path) -> None:
    assert problem(await post(api, company=10)) == (422, "company-not-served")
    await load(api, systems_file, DEFAULT)
    await post(api, company=10)
    found = await api.ledger.find(id_of("N-1", "other"))
    assert found is not None
    assert found.settlement.system == "other"


async def test_paused_system_refuses_new_orders_and_only_them(api: ApiHarness) -> None:
    await post(api, "N-1")
    paused = await act(api, "pause", "broker maintenance until 6")
    assert paused.json()["paused"]["note"] == "broker maintenance until 6"
    refused = await post(api, "N-2")
    assert problem(refused) == (503, "external-system-paused")
    assert refused.headers["retry-after"] == "60"
    assert refused.json()["detail"] == "the external system alpha is paused: broker maintenance until 6"
    assert problem(await post(api, "N-1")) == (503, "temporal-unavailable"), "a repeat is not refused"
    await post(api, "N-3", company=8)
    await act(api, "resume", "it is back")
    await post(api, "N-2")
    assert set(await api.accepted_numbers()) == {"N-1", "N-2", "N-3"}


async def test_pause_and_resume_are_audited_and_idempotent(api: ApiHarness) -> None:
    actions = ("resume", "pause", "pause", "resume", "resume")
    answers = [await act(api, action, f"to {action}") for action in actions]
    assert [each.status_code for each in answers] == [200] * 5
    assert [each.headers.get("idempotent-replayed") for each in answers] == ["true", None, "true", None, "true"]
    read = (await api.http.get(f"{SYSTEMS}/alpha", headers=await key(api, Role.VIEWER))).json()
    acts = [(each["kind"], each["operator"], each["keyId"], each["note"]) for each in read["actions"]]
    key_id = (await key(api, Role.OPERATOR))["authorization"].removeprefix("Bearer ").partition(".")[0]
    assert acts == [("RESUME", "operator-1", key_id, "to resume"), ("PAUSE", "operator-1", key_id, "to pause")]
    assert read["paused"] is None


async def test_first_note_of_a_pause_stays(api: ApiHarness) -> None:
    await act(api, "pause", "first")
    repeated = await act(api, "pause", "second")
    assert repeated.headers["idempotent-replayed"] == "true"
    assert repeated.json()["paused"]["note"] == "first"


@pytest.mark.parametrize("action", ["pause", "resume"])
async def test_unknown_system_and_missing_note_are_refused_by_name(api: ApiHarness, action: str) -> None:
    headers = await key(api, Role.OPERATOR)
    unknown = await api.http.post(f"{SYSTEMS}/gamma/{action}", json={"note": "x"}, headers=headers)
    assert problem(unknown) == (404, "not-found")
    without = await api.http.post(f"{SYSTEMS}/alpha/{action}", json={}, headers=headers)
    assert problem(without) == (422, "validation-failed")
    assert without.json()["errors"] == [{"field": "note", "rule": "Field required"}]


async def test_answers_show_every_system_and_no_secret_nor_its_place(api: ApiHarness) -> None:
    headers = await key(api, Role.VIEWER)
    listed = await api.http.get(SYSTEMS, headers=headers)
    items = {each["name"]: each for each in listed.json()["items"]}
    assert {name: each["companies"] for name, each in items.items()} == {"alpha": [7], "beta": [8, 9]}
    assert items["alpha"]["address"] == "https://alpha.example"
    assert (listed.json()["file"], listed.json()["problem"]) == ("CURRENT", None)
    read = await api.http.get(f"{SYSTEMS}/alpha", headers=headers)
    assert SECRET not in listed.text + read.text
    assert SECRET.replace("-", "_") not in listed.text + read.text
    assert problem(await api.http.get(f"{SYSTEMS}/gamma", headers=headers)) == (404, "not-found")


async def test_rejected_file_is_reported_and_the_previous_one_stays_in_use(api: ApiHarness, systems_file: Path) -> None:
    headers = await key(api, Role.VIEWER)
    assert "\nsettlement_external_systems_current 1.0\n" in (await api.http.get("/metrics", headers=headers)).text
    await load(
        api, systems_file, f'{TWO}[systems.gamma]\nbase_url = "https://us:{SECRET}@gamma.example"\ndefault = true'
    )
    listed = await api.http.get(SYSTEMS, headers=headers)
    problem_text = f"{systems_file}: systems.gamma.base_url: must not contain a user or password; use headers"
    assert (listed.json()["file"], listed.json()["problem"]) == ("REJECTED", problem_text)
    ready = (await api.http.get("/readyz")).json()
    assert ready["external_systems"] == "REJECTED"
    metrics = (await api.http.get("/metrics", headers=headers)).text
    assert "\nsettlement_external_systems_current 0.0\n" in metrics
    assert SECRET not in listed.text + metrics + str(ready)
    await post(api)
    assert await api.accepted_numbers() == ["N-1"]


async def test_list_is_filtered_by_system(api: ApiHarness) -> None:
    await post(api, "N-1", company=7)
    await post(api, "N-2", company=8)
    headers = await key(api, Role.VIEWER)
    found = (await api.http.get("/v1/settlements?system=beta", headers=headers)).json()["items"]
    assert [each["requestUniqueNo"] for each in found] == ["N-2"]
    assert problem(await api.http.get("/v1/settlements?system=Beta", headers=headers)) == (422, "validation-failed")


@pytest.mark.parametrize(
    ("company", "expected"),
    [(8, (403, "company-forbidden")), (11, (403, "company-forbidden")), (10, (422, "company-not-served"))],
    ids=["foreign", "foreign and not served", "own and not served"],
)
async def test_scope_of_a_key_is_checked_before_the_configuration(
    api: ApiHarness, company: int, expected: tuple[int, str]
) -> None:
    """A client does not learn which foreign companies are served, nor that their system is paused."""
    await api.app.state.services.pauses.pause("beta", "ops-1", "maintenance", NOON)
    headers = bearer(await api.create_key(Role.PLATFORM, "shop-7", (7, 10)))
    answer = await api.post(order(requestUniqueNo="N-1"), companyId=str(company), **headers)
    assert problem(answer) == expected
    assert await api.accepted_numbers() == []


async def test_filter_by_system_stays_within_the_scope_of_the_key(api: ApiHarness) -> None:
    await post(api, "N-1", company=8)
    await post(api, "N-2", company=9)
    for companies, expected in (((8,), ["N-1"]), ((7, 9), ["N-2"]), ((7,), [])):
        headers = bearer(await api.create_key(Role.VIEWER, companies=companies))
        found = (await api.http.get("/v1/settlements?system=beta", headers=headers)).json()["items"]
        assert [each["requestUniqueNo"] for each in found] == expected
