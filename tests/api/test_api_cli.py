"""The command `settlement` against the real API, over a socket: it prints what the API returns."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from api.settlements.decision import WAIT_MAX_S
from api.settlements.resource import SETTLEMENTS
from cli.commands import submit
from cli.pages import PAGE_SIZE
from ledger.settlements import PAGE_LIMIT_MAX
from settlement.keys import Role
from settlement.states import State
from tests.api.api_harness import ApiHarness, accept
from tests.api.snapshots import rejected_snapshot
from tests.api.sockets import HOST, served
from tests.support.cli import Ran, settlement
from tests.support.orders import new_number, order
from tests.support.orders import settlement as accepted
from tests.support.scripted import APPLIED, REJECTED, REVERSED, UNKNOWN, Gate, ScriptedExternalSystem
from tests.support.story_acts import FAILED

RETRY = ["--reason", "broker_recovered", "--note", "outage ended 03:10"]
CREATE_KEY = [
    *("keys", "create", "--client", "ops-1", "--role", "operator"),
    *("--companies", "2,1", "--expires-in", "90d"),
]
RESOLVE = ["--reason", "REVERSED_BY_BROKER", "--note", "by hand", "--reference", "ticket 17"]


@pytest_asyncio.fixture
async def url(api: ApiHarness) -> AsyncIterator[str]:
    async with served(api.app) as port:
        yield f"http://{HOST}:{port}"


@pytest_asyncio.fixture
async def url_without_temporal(api_without_temporal: ApiHarness) -> AsyncIterator[str]:
    async with served(api_without_temporal.app) as port:
        yield f"http://{HOST}:{port}"


async def answer(url: str, path: str, **params: Any) -> Any:  # noqa: ANN401 - any JSON value
    async with httpx2.AsyncClient() as http:
        return (await http.get(url + path, params=params)).json()


async def submitted(url: str, body: dict[str, Any], *options: str) -> Ran:
    return await settlement("submit", "--file", "-", *options, url=url, stdin=json.dumps(body).encode())


def options_of(body: dict[str, Any]) -> list[str]:
    names = {name: "--" + "".join(f"-{each.lower()}" if each.isupper() else each for each in name) for name in body}
    return [part for name, value in body.items() for part in (names[name], str(value))]


async def test_exit_code_0_means_proceed(api: ApiHarness, url: str) -> None:
    body = order()
    async with api.workers(ScriptedExternalSystem(adjust=APPLIED)):
        ran = await settlement("submit", *options_of(body), "--company", "7", url=url)
    shown = await settlement("show", body["requestUniqueNo"], "--json", url=url)
    assert (ran.code, ran.fields()["decision"], ran.fields()["state"]) == (0, "PROCEED", "SETTLED")
    assert "PROCEED: the order may proceed" in ran.err
    assert (shown.json()["order"] | {"metadata": None}, shown.json()["companyId"]) == (body | {"metadata": None}, 7)


async def test_exit_code_4_means_void(api: ApiHarness, url: str) -> None:
    async with api.workers(ScriptedExternalSystem(adjust=REJECTED, cancels=[REVERSED])):
        ran = await submitted(url, order(), "--json")
    assert (ran.code, ran.json()["decision"]) == (4, "VOID")
    assert "VOID: the order must not proceed" in ran.err


async def test_exit_code_5_means_no_decision_and_the_same_order_again_returns_it(api: ApiHarness, url: str) -> None:
    body = order()
    gate = Gate(APPLIED)
    async with api.workers(ScriptedExternalSystem(adjust=gate)):
        first = await submitted(url, body, "--wait", "1")
        gate.opened.set()
        again = await submitted(url, body)
    assert (first.code, first.fields()["decision"]) == (5, "")
    assert "no decision yet after 1 s: the order must not proceed" in first.err
    assert (again.code, again.fields()["decision"]) == (0, "PROCEED")
    assert "accepted before" in again.err


async def test_without_a_wait_there_is_no_decision(api: ApiHarness, url: str) -> None:
    async with api.workers(ScriptedExternalSystem(adjust=APPLIED)):
        body = order()
        ran = await submitted(url, body, "--wait", "0", "--json")
        await api.wait_for_state(body["requestUniqueNo"], State.SETTLED)
    assert (ran.code, ran.json()["state"]) == (5, "ADJUSTING")


async def test_the_error_for_a_refused_order_names_each_field_and_its_rule(url: str) -> None:
    ran = await submitted(url, order(amount="-1", currency="usd"))
    assert (ran.code, ran.out) == (1, "")
    assert "\n  amount: must be positive for operationType OPEN_POSITION\n" in ran.err
    assert "\n  currency: must be an ISO 4217" in ran.err
    assert "validation-failed, HTTP 422" in ran.err
    assert "the order must not proceed" in ran.err


async def test_another_order_with_the_same_number_is_refused(
    url_without_temporal: str, api_without_temporal: ApiHarness
) -> None:
    number = await accept(api_without_temporal.ledger, accepted())
    ran = await submitted(url_without_temporal, order(requestUniqueNo=number, amount="99"))
    assert ran.code == 1
    assert "number-reused, HTTP 409" in ran.err


async def test_without_temporal_the_order_is_in_doubt(url_without_temporal: str) -> None:
    body = order()
    ran = await submitted(url_without_temporal, body, "--wait", "1")
    assert (ran.code, ran.out) == (3, "")
    assert "in doubt: the order must not proceed" in ran.err
    assert f"settlement show {body['requestUniqueNo']}" in ran.err
    assert "temporal-unavailable, HTTP 503" in ran.err


async def test_show_as_json_is_the_unchanged_response_and_plain_has_every_field(api: ApiHarness, url: str) -> None:
    body = order()
    async with api.workers(ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED])):
        await submitted(url, body)
        await api.wait_for_state(body["requestUniqueNo"], State.ABORTED)
    response = await answer(url, f"{SETTLEMENTS}/{body['requestUniqueNo']}")
    as_json = await settlement("show", body["requestUniqueNo"], "--json", url=url)
    plain = await settlement("show", body["requestUniqueNo"], url=url)
    assert as_json.json() == response
    assert plain.fields() | {name: str(value) for name, value in body.items()} == plain.fields()
    assert [plain.fields()[name] for name in ("state", "decision", "reason")] == ["ABORTED", "VOID", response["reason"]]
    for call in response["calls"]:
        assert f"\t{call['operation']}\t{call['requestUniqueNo']}\t" in plain.out
    assert "\x1b" not in plain.out


@pytest.mark.parametrize("command", ["show", "retry", "resolve"])
async def test_an_unknown_number_is_refused(url_without_temporal: str, command: str) -> None:
    why = {"show": [], "retry": RETRY, "resolve": RESOLVE}[command]
    ran = await settlement(command, new_number(), *why, url=url_without_temporal)
    assert (ran.code, ran.out) == (1, "")
    assert "not-found, HTTP 404" in ran.err


async def test_a_list_reads_pages_up_to_its_limit_and_prints_the_next_cursor(
    url_without_temporal: str, api_without_temporal: ApiHarness
) -> None:
    """A limit above the page size reads several pages; the cursor continues after the last item."""
    now = datetime.now(UTC)
    count = PAGE_SIZE + 5
    for age in range(count):
        await accept(api_without_temporal.ledger, accepted(accepted_at=now - timedelta(seconds=age)))
    newest_first = await api_without_temporal.accepted_numbers()
    part = await settlement("list", "--limit", str(PAGE_SIZE + 2), "--json", url=url_without_temporal)
    cursor = part.err.split("--cursor ")[1].strip()
    rest = await settlement("list", "--cursor", cursor, "--json", url=url_without_temporal)
    whole = await settlement("list", "--all", url=url_without_temporal)
    numbers = [item["requestUniqueNo"] for item in part.lines() + rest.lines()]
    assert (len(part.lines()), len(rest.lines()), rest.err) == (PAGE_SIZE + 2, 3, "")
    assert numbers[:PAGE_SIZE] == newest_first
    assert [row[0] for row in whole.rows()] == ["requestUniqueNo", *numbers]
    first = (await answer(url_without_temporal, SETTLEMENTS, limit=3))["items"]
    assert part.lines()[:3] == first


async def test_the_brokers_message_and_reply_are_shown(
    url_without_temporal: str, api_without_temporal: ApiHarness
) -> None:
    settled = accepted()
    await accept(api_without_temporal.ledger, settled, rejected_snapshot(settled))
    ran = await settlement("show", settled.adjust.requestUniqueNo, url=url_without_temporal)
    fields = dict(line.split("\t", 1) for line in ran.out.splitlines() if line.startswith("broker"))
    assert fields == {"brokerCode": "E17", "brokerMessage": "no credit: 12.50 of 10.00"}
    rows = ran.out[ran.out.index("sentAt\toperation\tbizCode") :].splitlines()[:2]
    names, values = (row.split("\t") for row in rows)
    assert (
        dict(zip(names, values, strict=True)).items()
        >= {
            "bizCode": "PAY",
            "code": "E17",
            "msgParams": "12.50,10.00",
            "tm": "12",
            "trace": "trace-7",
            "fail": "true",
            "data": '{"limit": 10.00}',
        }.items()
    )


async def test_a_list_contains_only_what_matches_its_filters(
    url_without_temporal: str, api_without_temporal: ApiHarness
) -> None:
    await accept(api_without_temporal.ledger, accepted())
    none = await settlement("list", "--state", "aborted", url=url_without_temporal)
    one = await settlement("list", "--state", "adjusting", url=url_without_temporal)
    assert (none.code, len(none.rows()), len(one.rows())) == (0, 1, 2)
    assert dict(zip(*one.rows(), strict=True))["amount"] == "12.50"


async def test_an_aborted_settlement_is_retried_then_resolved(api: ApiHarness, url: str) -> None:
    body = order()
    number, second_round = body["requestUniqueNo"], Gate(FAILED)
    async with api.workers(ScriptedExternalSystem(adjust=UNKNOWN, cancels=[FAILED, second_round])):
        await submitted(url, body)
        await api.wait_for_state(number, State.ABORTED)
        retried = await settlement("retry", number, *RETRY, "--json", url=url)
        await api.wait_for_state(number, State.CANCELLING)
        second_round.opened.set()
        await api.wait_for_state(number, State.ABORTED)
        resolved = await settlement("resolve", number, *RESOLVE, url=url)
    response = await answer(url, f"{SETTLEMENTS}/{number}")
    assert (retried.code, retried.json()["state"]) == (0, "CANCELLING")
    assert (resolved.code, resolved.fields()["state"], response["state"]) == (0, "RESOLVED", "RESOLVED")
    actions = [
        (each["kind"], each["reasonCode"], each["note"], each["brokerReference"])
        for each in response["operatorActions"]
    ]
    assert actions == [
        ("RETRY_CANCEL_ADJUST", "BROKER_RECOVERED", "outage ended 03:10", None),
        ("RESOLVE", "REVERSED_BY_BROKER", "by hand", "ticket 17"),
    ]


async def test_an_action_in_another_state_is_refused(api: ApiHarness, url: str) -> None:
    body = order()
    async with api.workers(ScriptedExternalSystem(adjust=APPLIED)):
        await submitted(url, body)
        ran = await settlement("retry", body["requestUniqueNo"], *RETRY, url=url)
    assert (ran.code, ran.out) == (1, "")
    assert "wrong-state, HTTP 409" in ran.err


async def test_a_key_is_shown_once_and_used_and_listed_without_its_secret(api_with_keys: ApiHarness) -> None:
    async with served(api_with_keys.app) as port:
        url, admin = f"http://{HOST}:{port}", await api_with_keys.create_key(Role.ADMIN)
        created = await settlement(*CREATE_KEY, url=url, SETTLEMENT_API_KEY=admin)
        used = await settlement("list", url=url, SETTLEMENT_API_KEY=created.out.strip())
        listed = await settlement("keys", "list", url=url, SETTLEMENT_API_KEY=admin)
    key_id, secret = created.out.strip().split(".", maxsplit=1)
    assert (created.code, created.out.count("\n"), used.code, listed.code) == (0, 1, 0, 0)
    assert secret not in created.err + listed.out
    [row] = [row for row in listed.rows() if row[0] == key_id]
    assert row[1:4] == ["ops-1", "operator", "1, 2"]
    assert datetime.fromisoformat(row[4]) - datetime.fromisoformat(row[6]) == timedelta(days=90)


async def test_a_revoked_key_is_refused_and_revoking_it_again_has_the_same_result(api_with_keys: ApiHarness) -> None:
    async with served(api_with_keys.app) as port:
        url, admin = f"http://{HOST}:{port}", await api_with_keys.create_key(Role.ADMIN)
        created = (await settlement(*CREATE_KEY, "--json", url=url, SETTLEMENT_API_KEY=admin)).json()
        revoke = ["keys", "revoke", created["keyId"], "--json"]
        first, again = [await settlement(*revoke, url=url, SETTLEMENT_API_KEY=admin) for _ in range(2)]
        used = await settlement("list", url=url, SETTLEMENT_API_KEY=created["apiKey"])
    assert (first.code, first) == (0, again)
    assert first.json()["revokedBy"] == "admin-1"
    assert (used.code, used.out) == (1, "")
    assert "unauthenticated, HTTP 401" in used.err
    assert created["apiKey"] not in used.err


async def test_the_error_for_a_missing_permission_names_the_permission(api_with_keys: ApiHarness) -> None:
    async with served(api_with_keys.app) as port:
        key = await api_with_keys.create_key(Role.VIEWER)
        ran = await settlement("retry", new_number(), *RETRY, url=f"http://{HOST}:{port}", SETTLEMENT_API_KEY=key)
    assert (ran.code, ran.out) == (1, "")
    assert "the permission ACT [forbidden, HTTP 403]" in ran.err


def test_limits_are_those_of_the_api() -> None:
    assert (submit.WAIT_MAX_S, PAGE_SIZE) == (WAIT_MAX_S, PAGE_LIMIT_MAX)


async def test_a_system_is_paused_and_resumed(url_without_temporal: str) -> None:
    url = url_without_temporal
    listed = await settlement("systems", "list", url=url)
    assert (listed.code, listed.rows()[1][:2]) == (0, ["default", "all others"])
    paused = await settlement("systems", "pause", "default", "--note", "maintenance", url=url)
    assert (paused.code, paused.fields()["note"]) == (0, "maintenance")
    refused = await submitted(url, order())
    assert (refused.code, "the external system default is paused: maintenance" in refused.err) == (3, True)
    resumed = await settlement("systems", "resume", "default", "--note", "it is over", url=url)
    assert (resumed.code, resumed.fields()["note"]) == (0, "")
    unknown = await settlement("systems", "pause", "gamma", "--note", "x", url=url)
    assert (unknown.code, "[not-found, HTTP 404]" in unknown.err) == (1, True)
