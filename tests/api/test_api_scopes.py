"""The scope of a key: what a client submits, sees and acts on is limited to its companies, in the queries."""

from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from ledger import Findings
from settlement.keys import Role
from settlement.reconciliation import FindingKind
from settlement.scope import Companies
from settlement.snapshot import Snapshot
from settlement.states import Decision, State
from tests.api.api_harness import SETTLEMENTS, ApiHarness, accept, bearer
from tests.api.route_permissions import STATEMENT
from tests.support.orders import id_of, new_number, order, settlement

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
FINDINGS = "/v1/reconciliation/findings"
WHY = {"reasonCode": "BROKER_RECOVERED", "note": "broker is back"}


class Client:
    """A caller with a key."""

    def __init__(self, api: ApiHarness, key: str) -> None:
        self._api = api
        self.key_id = key.partition(".")[0]
        self._headers = bearer(key)

    async def get(self, path: str, **params: Any) -> httpx2.Response:  # noqa: ANN401 - any query
        """Read."""
        return await self._api.http.get(path, params=params, headers=self._headers)

    async def post(self, path: str, body: object, **headers: str) -> httpx2.Response:
        """Post."""
        return await self._api.http.post(path, json=body, headers=self._headers | headers)

    async def numbers(self, **params: Any) -> list[str]:  # noqa: ANN401 - any query
        """Return the numbers of all settlements that a filter finds, page by page."""
        found: list[str] = []
        while True:
            page = (await self.get(SETTLEMENTS, **params)).json()
            found += [each["requestUniqueNo"] for each in page["items"]]
            if page["nextCursor"] is None:
                return found
            params["cursor"] = page["nextCursor"]


async def client(api: ApiHarness, companies: Companies, role: Role = Role.OPERATOR, name: str = "shop-1") -> Client:
    """Return a caller with a new key."""
    return Client(api, await api.create_key(role, name, companies))


async def aborted(api: ApiHarness, company_id: int | None, minutes: int = 0, **fields: Any) -> str:  # noqa: ANN401 - any field
    """Write an ABORTED settlement of a company."""
    at = NOON + timedelta(minutes=minutes)
    order_ = settlement(accepted_at=at, **fields).model_copy(update={"company_id": company_id})
    snapshot = Snapshot(version=1, state=State.ABORTED, decision=Decision.VOID, decided_at=at, updated_at=at)
    return await accept(api.ledger, order_, snapshot)


@pytest.fixture
async def numbers(api_with_keys: ApiHarness) -> dict[int | None, list[str]]:
    """Write five settlements of each of three companies and of none, mixed in time; newest first by company."""
    written: dict[int | None, list[str]] = {1: [], 2: [], 3: [], None: []}
    for minute in range(20):
        company = (1, 2, 3, None)[minute % 4]
        written[company].insert(0, await aborted(api_with_keys, company, minute))
    return written


async def test_a_list_has_only_the_companies_of_the_scope(
    api_with_keys: ApiHarness, numbers: dict[int | None, list[str]]
) -> None:
    """Pages are full and in order: the filter is in the query, not after it."""
    of_two = await client(api_with_keys, (1, 2))
    for limit in (1, 3, 50):
        found = await of_two.numbers(limit=limit)
        assert found[::2] == numbers[2], "company 2 has the newer one of each pair"
        assert found[1::2] == numbers[1]
    page = (await of_two.get(SETTLEMENTS, limit=7)).json()
    assert (len(page["items"]), page["nextCursor"] is None) == (7, False)
    everything = await client(api_with_keys, "all")
    assert len(await everything.numbers()) == 20


@pytest.mark.parametrize(
    "where",
    [
        {"state": "ABORTED"},
        {"currency": "USD"},
        {"userName": "user-7"},
        {"orderId": 4711},
        {"from": "2026-01-05T12:00:00Z"},
        {"state": "ABORTED", "currency": "USD", "to": "2026-01-05T13:00:00Z"},
    ],
    ids="-".join,
)
async def test_every_filter_is_combined_with_the_scope(
    api_with_keys: ApiHarness, numbers: dict[int | None, list[str]], where: dict[str, Any]
) -> None:
    scoped = await client(api_with_keys, (1, 3))
    assert sorted(await scoped.numbers(**where, limit=4)) == sorted(numbers[1] + numbers[3])
    assert await scoped.numbers(**where, companyId=3) == numbers[3]
    assert await scoped.numbers(**where, companyId=2) == []


async def test_the_number_of_another_company_is_not_found_like_one_that_does_not_exist(
    api_with_keys: ApiHarness, numbers: dict[int | None, list[str]]
) -> None:
    scoped = await client(api_with_keys, (2,))
    foreign, unknown = numbers[1][0], "T-0000000000000-0"
    assert await scoped.numbers(requestUniqueNo=foreign) == []
    for tail in ("", "/events", "/explain"):
        answers = [await scoped.get(f"{SETTLEMENTS}/{number}{tail}") for number in (foreign, unknown)]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].text.replace(foreign, "") == answers[1].text.replace(unknown, "")
    assert (await scoped.get(f"{SETTLEMENTS}/{numbers[None][0]}")).status_code == 404


async def test_exposure_and_preview_count_only_the_scope(
    api_with_keys: ApiHarness, numbers: dict[int | None, list[str]]
) -> None:
    scoped, everything = await client(api_with_keys, (1, 2)), await client(api_with_keys, "all")
    for caller, count, companies in ((scoped, 10, {1, 2}), (everything, 20, set(numbers))):
        exposure = (await caller.get("/v1/exposure")).json()
        assert [total["count"] for total in exposure["totals"]] == [count]
        assert {line["companyId"] for line in exposure["lines"]} == companies
        preview = (await caller.get("/v1/batch-retry-preview", all="true")).json()
        assert (preview["count"], {line["companyId"] for line in preview["lines"]}) == (count, companies)
    assert (await scoped.get("/v1/batch-retry-preview", companyId=3)).json()["count"] == 0


@pytest.mark.usefixtures("numbers")
async def test_a_batch_selects_only_a_company_of_the_scope(api_with_keys: ApiHarness) -> None:
    scoped, everything = await client(api_with_keys, (1, 2)), await client(api_with_keys, "all")
    for selection, named in (({"companyId": 3}, "company 3"), ({"all": True}, "without companyId")):
        refused = await scoped.post("/v1/batch-retries", WHY | {"selection": selection, "expectedCount": 5})
        assert (refused.status_code, refused.json()["code"]) == (403, "company-forbidden")
        assert named in refused.json()["detail"]
    started = await scoped.post("/v1/batch-retries", WHY | {"selection": {"companyId": 2}, "expectedCount": 5})
    assert (started.status_code, started.json()["keyId"]) == (202, scoped.key_id)
    for selection, count in (({"companyId": 3}, 5), ({"all": True}, 20)):
        await everything.post("/v1/batch-retries", WHY | {"selection": selection, "expectedCount": count})
    batches = (await everything.get("/v1/batch-retries")).json()["items"]
    assert len(batches) == 3
    assert [each["batchId"] for each in (await scoped.get("/v1/batch-retries")).json()["items"]] == [
        started.json()["batchId"]
    ]
    assert (await scoped.get("/v1/batch-retries", limit=1)).json()["items"] == [started.json()]


async def test_findings_are_those_of_the_scope(api_with_keys: ApiHarness, numbers: dict[int | None, list[str]]) -> None:
    """One that is not about a settlement, or about one that the ledger does not have, needs the scope all."""
    record = Findings(api_with_keys.ledger.engine)
    about = [numbers[1][0], numbers[2][0], numbers[None][0], new_number(), None]
    for number in about:
        it = None if number is None else id_of(number)
        await record.report(FindingKind.WORKFLOW_STUCK, it, "it does not fit", round_started_at=NOON)
    seen: dict[Companies, list[str | None]] = {
        (2,): [numbers[2][0]],
        (1, 2): [numbers[2][0], numbers[1][0]],
        "all": about[::-1],
    }
    for companies, expected in seen.items():
        caller = await client(api_with_keys, companies)
        for params in ({}, {"status": "OPEN"}):
            items = (await caller.get(FINDINGS, **params)).json()["items"]
            assert [each["requestUniqueNo"] for each in items] == expected
    both = await client(api_with_keys, (1, 2))
    first = (await both.get(FINDINGS, limit=1)).json()
    second = (await both.get(FINDINGS, limit=1, before=first["nextBefore"])).json()
    assert [each["items"][0]["requestUniqueNo"] for each in (first, second)] == seen[1, 2]
    assert second["nextBefore"] is None


async def test_an_order_of_another_company_is_refused_and_not_stored(api_with_keys: ApiHarness) -> None:
    scoped = await client(api_with_keys, (1, 2), Role.PLATFORM)
    for headers, named in (({"companyId": "3"}, "company 3"), ({}, "without companyId")):
        refused = await scoped.post(SETTLEMENTS, order(), **headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "company-forbidden")
        assert refused.json()["type"] == "urn:order-settlement:problem:company-forbidden"
        assert named in refused.json()["detail"]
        assert [each["field"] for each in refused.json()["errors"]] == ["companyId"]
    assert await api_with_keys.accepted_numbers() == []


async def test_a_number_outside_the_scope_is_taken_and_reveals_nothing(api_with_keys: ApiHarness) -> None:
    """Numbers are unique in the whole installation. The same order of another client gives the same answer."""
    number = await aborted(api_with_keys, 3, amount="777.77", userName="someone-else")
    scoped = await client(api_with_keys, (1, 2), Role.PLATFORM)
    same = order(requestUniqueNo=number, amount="777.77", userName="someone-else")
    other = order(requestUniqueNo=number, amount="1")
    answers = [await scoped.post(SETTLEMENTS, body, companyId="1") for body in (same, other)]
    assert [(each.status_code, each.json()["code"]) for each in answers] == [(409, "number-taken")] * 2
    assert answers[0].content == answers[1].content
    assert "location" not in answers[0].headers
    assert number not in answers[0].text
    assert [each["field"] for each in answers[0].json()["errors"]] == ["requestUniqueNo"]
    reused = await scoped.post(SETTLEMENTS, order(requestUniqueNo=await aborted(api_with_keys, 2)), companyId="1")
    assert (reused.status_code, reused.json()["code"]) == (409, "number-reused")


async def test_who_submitted_an_order_is_recorded_and_stays(
    api_with_keys: ApiHarness, logs: list[MutableMapping[str, Any]]
) -> None:
    """A repeated order, also with another key of another client, changes nothing."""
    first = await client(api_with_keys, (1,), Role.PLATFORM)
    other = await client(api_with_keys, "all", Role.PLATFORM, name="shop-2")
    body = order()
    # 503: accepted, but there is no Temporal here.
    assert [(await each.post(SETTLEMENTS, body, companyId="1")).status_code for each in (first, other)] == [503, 503]
    number = body["requestUniqueNo"]
    submitted = {"client": "shop-1", "keyId": first.key_id}
    assert (await other.get(f"{SETTLEMENTS}/{number}")).json()["submittedBy"] == submitted
    timeline = (await first.get(f"{SETTLEMENTS}/{number}/explain")).json()["timeline"]
    assert f"submitted by shop-1 with key {first.key_id}" in timeline[0]["text"]
    [logged] = [each for each in logs if each["event"] == "accepted"]
    assert (logged["client"], logged["key_id"]) == ("shop-1", first.key_id)
    found = await api_with_keys.ledger.find(id_of(number))
    assert found is not None
    assert found.settlement.submitted_by is not None
    assert found.settlement.submitted_by.client == "shop-1"


async def test_findings_of_a_statement_are_limited_to_the_scope(api_with_keys: ApiHarness) -> None:
    """An import concerns all companies. Each client then sees the findings about its settlements, and only these."""
    of_all, of_one, of_two = [await client(api_with_keys, each) for each in ("all", (1,), (2,))]
    number = await aborted(api_with_keys, 1)
    reported = Findings(api_with_keys.ledger.engine)
    for each in (number, "unknown-1"):
        kind = FindingKind.STATEMENT_UNKNOWN_NUMBER
        await reported.report(kind, id_of(each), "as planted", round_started_at=NOON, amount="12.50", currency="USD")
    seen = [
        [each["requestUniqueNo"] for each in (await caller.get(FINDINGS)).json()["items"]]
        for caller in (of_all, of_one, of_two)
    ]
    assert seen == [["unknown-1", number], [number], []]


async def test_an_import_records_the_key_of_the_operator(api_with_keys: ApiHarness) -> None:
    of_all = await client(api_with_keys, "all")
    begun = (await of_all.post("/v1/statements", STATEMENT)).json()
    assert (begun["operator"], begun["keyId"], begun["system"]) == ("shop-1", of_all.key_id, "default")
