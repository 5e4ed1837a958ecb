"""The command `settlement` against the real system: an operator finds, explains, retries and reconciles."""

import json
from typing import Any

import pytest_asyncio

from settlement.states import State
from tests.e2e.conftest import System, faulty
from tests.support.cli import Ran, settlement

COMPANY = "77"
WHY = ["--reason", "BROKER_RECOVERED", "--note", "outage ended 03:10"]


@pytest_asyncio.fixture(scope="module")
async def aborted_settlements(system: System) -> tuple[System, list[str]]:
    """Return a system with three aborted settlements of one company that has no others, and their numbers."""
    attempts = system.stack.settings.cancel_max_attempts
    bodies = [faulty("http_500_applied", cancel="fail", times=attempts) for _ in range(3)]
    for body in bodies:
        ran = await run(system, "submit", "--file", "-", "--company", COMPANY, stdin=json.dumps(body).encode())
        assert ran.code == 4, ran.err
    numbers = [body["requestUniqueNo"] for body in bodies]
    for number in numbers:
        assert (await system.ends(number))["state"] == State.ABORTED
    return system, numbers


async def in_doubt(system: System) -> list[tuple[str, int, str]]:
    """Return currency, count and amount of what the command shows of our company as in doubt."""
    lines = (await run(system, "exposure", "--json")).json()["lines"]
    return [(each["currency"], each["count"], each["amount"]) for each in lines if each["companyId"] == int(COMPANY)]


async def run(system: System, *arguments: str, **options: Any) -> Ran:  # noqa: ANN401 - what `settlement` takes
    return await settlement(*arguments, url=system.stack.api_url, **options)


AbortedSettlements = tuple[System, list[str]]


async def test_1_exposure_and_list_show_the_aborted_settlements(aborted_settlements: AbortedSettlements) -> None:
    system, numbers = aborted_settlements
    assert await in_doubt(system) == [("USD", 3, "37.50")]
    listed = (await run(system, "list", "--state", "ABORTED", "--company", COMPANY, "--json")).lines()
    assert {each["requestUniqueNo"] for each in listed} == set(numbers)
    assert (await run(system, "list", "--state", "SETTLED", "--company", COMPANY)).rows()[1:] == []


async def test_2_explain_shows_the_calls_and_the_next_command(aborted_settlements: AbortedSettlements) -> None:
    system, numbers = aborted_settlements
    ran = await run(system, "explain", numbers[0])
    assert ran.code == 0
    for part in ("HTTP status 500", "attempt 3", f"settlement retry {numbers[0]}", "In doubt"):
        assert part in ran.out


async def test_3_a_retry_leads_to_the_end_and_events_show_it(aborted_settlements: AbortedSettlements) -> None:
    system, numbers = aborted_settlements
    retried = await run(system, "retry", numbers[0], *WHY, "--json")
    assert retried.code == 0
    assert retried.json()["state"] in {State.CANCELLING, State.CANCELLED}, "the round may end before the answer"
    followed = await run(system, "events", numbers[0], "--json")
    states = [State.ADJUSTING, State.CANCELLING, State.ABORTED, State.CANCELLING, State.CANCELLED]
    assert (followed.code, [each["state"] for each in followed.lines()]) == (0, states)


async def test_4_the_others_are_previewed_and_retried_as_a_batch(aborted_settlements: AbortedSettlements) -> None:
    system, numbers = aborted_settlements
    preview = await run(system, "batch-retry", "preview", "--company", COMPANY, "--cause", "HTTP_STATUS", "--json")
    assert (preview.json()["count"], preview.json()["totals"][0]["amount"]) == (2, "25.00")
    ran = await run(system, "batch-retry", "start", "--company", COMPANY, *WHY, "--yes", "--json")
    assert (ran.code, ran.json()["states"]) == (0, {"CANCELLED": 2})
    report = await run(system, "batch-retry", "report", ran.json()["batchId"], "--json")
    assert {each["requestUniqueNo"]: each["outcome"] for each in report.lines()} == dict.fromkeys(
        numbers[1:], "RETRIED"
    )
    assert [(await system.books(number))["timesReversed"] for number in numbers] == [1, 1, 1]


async def test_5_reconciliation_finds_nothing_and_nothing_is_in_doubt(aborted_settlements: AbortedSettlements) -> None:
    system, numbers = aborted_settlements
    ran = await run(system, "reconcile", "--json")
    assert (ran.code, ran.json()["openFindings"]) == (0, 0)
    found = (await run(system, "findings", "--json")).lines()
    assert not {each["requestUniqueNo"] for each in found} & set(numbers)
    assert await in_doubt(system) == []
