"""What operators do, at a terminal and in scripts. The same against the real system: tests/e2e/test_e2e_cli.py."""

import json

import pytest
from starlette.responses import Response

from settlement.batch_retry import Batch
from tests.support.cli import settlement, terminal
from tests.unit.cli.api_answers import settlement_at_its_end
from tests.unit.cli.conftest import Place, Script
from tests.unit.cli.scripted_api import json_answer

WHY = ["--reason", "BROKER_RECOVERED", "--note", "outage ended 03:10"]


async def test_a_preview_as_json_is_exactly_the_answer(place: Place) -> None:
    ran = await settlement("batch-retry", "preview", "--company", str(place.company), "--json", url=place.url)
    there = await place.get("/v1/batch-retry-preview", companyId=str(place.company))
    assert (ran.code, ran.json()) == (0, there)


async def test_a_batch_is_previewed_begun_and_watched_until_all_are_cancelled(place: Place) -> None:
    count = (await place.get("/v1/batch-retry-preview", companyId=str(place.company)))["count"]
    ran = await settlement(
        "batch-retry", "start", "--company", str(place.company), *WHY, "--yes", "--json", url=place.url
    )
    assert ran.code == 0, ran.err
    batch = Batch.model_validate(ran.json())
    assert (batch.state, batch.count, batch.states) == ("DONE", count, {"CANCELLED": count})
    assert ran.json() == await place.get(f"/v1/batch-retries/{batch.batch_id}")
    assert ran.err.index(f"count\t{count}") < ran.err.index(f"batch {batch.batch_id} begun")


async def test_its_report_names_each_settlement_once_over_all_pages(place: Place) -> None:
    begun = await settlement("batch-retry", "start", "--company", str(place.company), *WHY, "--yes", url=place.url)
    batch_id, count = begun.fields()["batchId"], int(begun.fields()["count"])
    plain = await settlement("batch-retry", "report", batch_id, url=place.url)
    as_json = await settlement("batch-retry", "report", batch_id, "--json", url=place.url)
    assert [item["requestUniqueNo"] for item in as_json.lines()] == [row[1] for row in plain.rows()[1:]]
    assert len({row[1] for row in plain.rows()[1:]}) == len(plain.rows()) - 1 == count


async def test_a_batch_can_be_left_listed_followed_and_its_stop_repeated(place: Place) -> None:
    left = await settlement(
        "batch-retry", "start", "--company", str(place.company), *WHY, "--yes", "--no-wait", "--json", url=place.url
    )
    batch_id = left.json()["batchId"]
    followed = await settlement("batch-retry", "status", batch_id, "--follow", url=place.url)
    listed = await settlement("batch-retry", "list", "--json", url=place.url)
    stops = [await settlement("batch-retry", "stop", batch_id, "--json", url=place.url) for _ in range(2)]
    assert (left.code, followed.code, listed.code) == (0, 0, 0)
    assert followed.fields()["outcomes"] == f"RETRIED {followed.fields()['count']}"
    assert listed.lines()[0]["batchId"] == batch_id
    assert stops[0] == stops[1]


async def test_an_empty_selection_begins_nothing(place: Place) -> None:
    ran = await settlement("batch-retry", "start", "--company", str(place.company), *WHY, "--yes", url=place.url)
    assert ran.code == 0
    again = await settlement("batch-retry", "start", "--company", str(place.company), *WHY, "--yes", url=place.url)
    assert (again.code, again.out) == (0, "")
    assert again.err.endswith("nothing to retry\n")


async def test_at_a_terminal_it_asks_and_no_means_no(place: Place) -> None:
    async with terminal("batch-retry", "start", "--company", str(place.company), *WHY, url=place.url) as screen:
        await screen.shows("[y/N]")
        screen.types("n\n")
        ran = await screen.ends()
    assert ran.code == 1
    assert "nothing was begun" in ran.out
    assert (await place.get("/v1/batch-retries"))["items"] == []


async def test_at_a_terminal_yes_begins_it_and_shows_a_bar_until_it_is_done(place: Place) -> None:
    async with terminal("batch-retry", "start", "--company", str(place.company), *WHY, url=place.url) as screen:
        await screen.shows("[y/N]")
        screen.types("y\n")
        ran = await screen.ends()
    count = (await place.get("/v1/batch-retries"))["items"][0]["count"]
    assert ran.code == 0
    assert f"{count}/{count}" in ran.out
    assert f"CANCELLED {count}" in ran.out


async def test_reconcile_waits_for_a_new_round_and_shows_it_with_what_is_open(place: Place) -> None:
    before = (await place.get("/v1/reconciliation"))["lastRound"]
    ran = await settlement("reconcile", url=place.url)
    there = await place.get("/v1/reconciliation")
    assert ran.fields()["lastRound"] == there["lastRound"]["roundId"] != (before or {}).get("roundId")
    assert ran.code == (4 if there["openFindings"] else 0)
    assert ran.fields()["openFindings"] == str(there["openFindings"])
    assert ("\nid\tstatus\tkind" in ran.out) == (there["openFindings"] > 0)


async def test_reconcile_as_json_is_one_document(place: Place) -> None:
    ran = await settlement("reconcile", "--json", url=place.url)
    assert ran.json() == await place.get("/v1/reconciliation")


async def test_a_round_that_does_not_end_in_time_is_no_round(place: Place) -> None:
    asked = await settlement("reconcile", "--no-wait", "--json", url=place.url)
    last = await settlement("reconcile", "--last", "--json", url=place.url)
    assert (asked.code, last.code) == (0, 0)
    assert set(asked.json()) == set(last.json())


def _stands(state: str, acts: int) -> Response:
    body = json.loads(bytes(settlement_at_its_end("ORD-1").body))
    act = {"kind": "RETRY_CANCEL_ADJUST", "operator": "o", "note": "n", "at": "2026-01-05T03:10:00Z"}
    return json_answer(json.dumps(body | {"state": state, "operatorActions": [act] * acts}))


@pytest.mark.parametrize(
    ("then", "code"),
    [
        ([("CANCELLING", 1), ("CANCELLED", 1)], 0),
        ([("CANCELLING", 1), ("ABORTED", 1)], 4),
        # The ledger may trail: what it had before the retry is no answer.
        ([("ABORTED", 0), ("CANCELLING", 1), ("CANCELLED", 1)], 0),
        ([("CANCELLING", 1)], 5),
    ],
)
async def test_a_retry_waits_for_how_it_ends(scripted: Script, then: list[tuple[str, int]], code: int) -> None:
    url, _ = await scripted(*(_stands(state, acts) for state, acts in [("CANCELLING", 1), *then]))
    ran = await settlement("retry", "ORD-1", *WHY, "--wait", "3", url=url)
    assert (ran.code, ran.fields()["state"]) == (code, then[-1][0])


async def test_a_preview_lists_its_settlements(scripted: Script) -> None:
    preview = '{"count":1,"totals":[],"lines":[],"oldestAcceptedAt":null,"newestAcceptedAt":null}'
    item = bytes(settlement_at_its_end("ORD-1").body).decode()
    url, script = await scripted(
        json_answer(preview),
        json_answer(f'{{"items":[{item}],"nextCursor":"more"}}'),
        json_answer(f'{{"items":[{item}],"nextCursor":null}}'),
    )
    ran = await settlement("batch-retry", "preview", "--company", "7", "--cause", "deadline", "--items", url=url)
    assert (ran.code, [row[0] for row in ran.rows()[1:]]) == (0, ["ORD-1", "ORD-1"])
    asked = {"companyId": "7", "cause": "DEADLINE", "state": "ABORTED"}
    assert asked.items() <= script.seen[1].query.items()
    assert script.seen[2].query["cursor"] == "more"


async def test_a_batch_over_everything_says_so(scripted: Script) -> None:
    url, script = await scripted(json_answer('{"count":0,"totals":[],"oldestAcceptedAt":null,"newestAcceptedAt":null}'))
    ran = await settlement("batch-retry", "start", "--all", *WHY, "--yes", url=url)
    assert (ran.code, script.seen[0].query) == (0, {"all": "true"})
