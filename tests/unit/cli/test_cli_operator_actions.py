"""The actions of operators, at a terminal and in scripts; tests/e2e/test_e2e_cli.py runs them on the real system."""

import json

import pytest
from starlette.responses import Response

from settlement.batch_retry import Batch
from tests.support.cli import settlement, terminal
from tests.unit.cli.api_answers import ended_settlement
from tests.unit.cli.conftest import FakeServer, ServeScript
from tests.unit.cli.scripted_api import json_answer

WHY = ["--reason", "BROKER_RECOVERED", "--note", "outage ended 03:10"]


async def test_a_preview_as_json_is_the_unchanged_response(api: FakeServer) -> None:
    ran = await settlement("batch-retry", "preview", "--company", str(api.company), "--json", url=api.url)
    response = await api.get("/v1/batch-retry-preview", companyId=str(api.company))
    assert (ran.code, ran.json()) == (0, response)


async def test_a_batch_is_previewed_started_and_followed_until_all_are_cancelled(api: FakeServer) -> None:
    count = (await api.get("/v1/batch-retry-preview", companyId=str(api.company)))["count"]
    ran = await settlement("batch-retry", "start", "--company", str(api.company), *WHY, "--yes", "--json", url=api.url)
    assert ran.code == 0, ran.err
    batch = Batch.model_validate(ran.json())
    assert (batch.state, batch.count, batch.states) == ("DONE", count, {"CANCELLED": count})
    assert ran.json() == await api.get(f"/v1/batch-retries/{batch.batch_id}")
    assert ran.err.index(f"count\t{count}") < ran.err.index(f"batch {batch.batch_id} started")


async def test_the_report_lists_each_settlement_once_over_all_pages(api: FakeServer) -> None:
    started = await settlement("batch-retry", "start", "--company", str(api.company), *WHY, "--yes", url=api.url)
    batch_id, count = started.fields()["batchId"], int(started.fields()["count"])
    plain = await settlement("batch-retry", "report", batch_id, url=api.url)
    as_json = await settlement("batch-retry", "report", batch_id, "--json", url=api.url)
    assert [item["requestUniqueNo"] for item in as_json.lines()] == [row[1] for row in plain.rows()[1:]]
    assert len({row[1] for row in plain.rows()[1:]}) == len(plain.rows()) - 1 == count


async def test_a_batch_can_be_started_without_waiting_then_followed_listed_and_stopped_twice(api: FakeServer) -> None:
    without_wait = await settlement(
        "batch-retry", "start", "--company", str(api.company), *WHY, "--yes", "--no-wait", "--json", url=api.url
    )
    batch_id = without_wait.json()["batchId"]
    followed = await settlement("batch-retry", "status", batch_id, "--follow", url=api.url)
    listed = await settlement("batch-retry", "list", "--json", url=api.url)
    stops = [await settlement("batch-retry", "stop", batch_id, "--json", url=api.url) for _ in range(2)]
    assert (without_wait.code, followed.code, listed.code) == (0, 0, 0)
    assert followed.fields()["outcomes"] == f"RETRIED {followed.fields()['count']}"
    assert listed.lines()[0]["batchId"] == batch_id
    assert stops[0] == stops[1]


async def test_an_empty_selection_starts_no_batch(api: FakeServer) -> None:
    ran = await settlement("batch-retry", "start", "--company", str(api.company), *WHY, "--yes", url=api.url)
    assert ran.code == 0
    again = await settlement("batch-retry", "start", "--company", str(api.company), *WHY, "--yes", url=api.url)
    assert (again.code, again.out) == (0, "")
    assert again.err.endswith("nothing to retry\n")


async def test_no_at_the_confirmation_starts_no_batch(api: FakeServer) -> None:
    async with terminal("batch-retry", "start", "--company", str(api.company), *WHY, url=api.url) as screen:
        await screen.shows("[y/N]")
        screen.types("n\n")
        ran = await screen.ends()
    assert ran.code == 1
    assert "no batch was started" in ran.out
    assert (await api.get("/v1/batch-retries"))["items"] == []


async def test_yes_at_the_confirmation_starts_the_batch_and_shows_a_progress_bar(api: FakeServer) -> None:
    async with terminal("batch-retry", "start", "--company", str(api.company), *WHY, url=api.url) as screen:
        await screen.shows("[y/N]")
        screen.types("y\n")
        ran = await screen.ends()
    count = (await api.get("/v1/batch-retries"))["items"][0]["count"]
    assert ran.code == 0
    assert f"{count}/{count}" in ran.out
    assert f"CANCELLED {count}" in ran.out


async def test_reconcile_waits_for_a_new_round_and_shows_open_findings(api: FakeServer) -> None:
    before = (await api.get("/v1/reconciliation"))["lastRound"]
    ran = await settlement("reconcile", url=api.url)
    response = await api.get("/v1/reconciliation")
    assert ran.fields()["lastRound"] == response["lastRound"]["roundId"] != (before or {}).get("roundId")
    assert ran.code == (4 if response["openFindings"] else 0)
    assert ran.fields()["openFindings"] == str(response["openFindings"])
    assert ("\nid\tstatus\tkind" in ran.out) == (response["openFindings"] > 0)


async def test_reconcile_as_json_is_one_document(api: FakeServer) -> None:
    ran = await settlement("reconcile", "--json", url=api.url)
    assert ran.json() == await api.get("/v1/reconciliation")


async def test_reconcile_without_waiting_shows_the_last_round(api: FakeServer) -> None:
    asked = await settlement("reconcile", "--no-wait", "--json", url=api.url)
    last = await settlement("reconcile", "--last", "--json", url=api.url)
    assert (asked.code, last.code) == (0, 0)
    assert set(asked.json()) == set(last.json())


def _settlement_in(state: str, actions: int) -> Response:
    body = json.loads(bytes(ended_settlement("ORD-1").body))
    action = {"kind": "RETRY_CANCEL_ADJUST", "operator": "o", "note": "n", "at": "2026-01-05T03:10:00Z"}
    return json_answer(json.dumps(body | {"state": state, "operatorActions": [action] * actions}))


@pytest.mark.parametrize(
    ("then", "code"),
    [
        ([("CANCELLING", 1), ("CANCELLED", 1)], 0),
        ([("CANCELLING", 1), ("ABORTED", 1)], 4),
        # The ledger may be behind: a record from before the retry is not its result.
        ([("ABORTED", 0), ("CANCELLING", 1), ("CANCELLED", 1)], 0),
        ([("CANCELLING", 1)], 5),
    ],
)
async def test_a_retry_waits_for_its_result(serve_script: ServeScript, then: list[tuple[str, int]], code: int) -> None:
    url, _ = await serve_script(*(_settlement_in(state, actions) for state, actions in [("CANCELLING", 1), *then]))
    ran = await settlement("retry", "ORD-1", *WHY, "--wait", "3", url=url)
    assert (ran.code, ran.fields()["state"]) == (code, then[-1][0])


async def test_a_preview_can_list_its_settlements(serve_script: ServeScript) -> None:
    preview = '{"count":1,"totals":[],"lines":[],"oldestAcceptedAt":null,"newestAcceptedAt":null}'
    item = bytes(ended_settlement("ORD-1").body).decode()
    url, script = await serve_script(
        json_answer(preview),
        json_answer(f'{{"items":[{item}],"nextCursor":"more"}}'),
        json_answer(f'{{"items":[{item}],"nextCursor":null}}'),
    )
    ran = await settlement("batch-retry", "preview", "--company", "7", "--cause", "deadline", "--items", url=url)
    assert (ran.code, [row[0] for row in ran.rows()[1:]]) == (0, ["ORD-1", "ORD-1"])
    asked = {"companyId": "7", "cause": "DEADLINE", "state": "ABORTED"}
    assert asked.items() <= script.requests[1].query.items()
    assert script.requests[2].query["cursor"] == "more"


async def test_a_batch_of_all_sends_the_parameter_all(serve_script: ServeScript) -> None:
    url, script = await serve_script(
        json_answer('{"count":0,"totals":[],"oldestAcceptedAt":null,"newestAcceptedAt":null}')
    )
    ran = await settlement("batch-retry", "start", "--all", *WHY, "--yes", url=url)
    assert (ran.code, script.requests[0].query) == (0, {"all": "true"})
