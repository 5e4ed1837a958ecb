"""Statements of the broker, through the command line and the API, over a socket and without Temporal."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from temporalio.client import Client

from api.broker_statement import routes
from cli.commands.broker_statement_file import StatementFile
from cli.commands.broker_statement_import import checked_file
from ledger import BrokerStatements, Findings, StatementComparison
from schemas.broker_statement import LINES_BYTES_MAX
from settlement.broker_statement import LINES_PER_REQUEST_MAX, StatementLines
from settlement.reconciliation import FindingStatus
from settlement.statement_columns import StatementColumns
from tests.api.api_harness import QUICK_SETTINGS, ApiHarness, open_api
from tests.api.sockets import HOST, served
from tests.support.broker_statements import (
    APPLIED,
    ENDS_AT,
    PLANTED,
    STARTS_AT,
    Case,
    agreeing,
    fill,
    line,
    planted,
    row,
    write_csv,
)
from tests.support.cli import Ran, settlement, terminal
from tests.support.ledgers import FlakyLedger
from tests.support.polling import until

STATEMENTS = "/v1/statements"
PERIOD = ("--from", STARTS_AT.isoformat(), "--to", ENDS_AT.isoformat())
BODY: dict[str, Any] = {
    "digest": "a" * 64,
    "startsAt": "2026-01-05T00:00:00Z",
    "endsAt": "2026-01-06T00:00:00Z",
    "lineCount": 1,
}
LINE = {"requestUniqueNo": "A", "kind": "APPLIED", "amount": "1", "currency": "USD", "atMs": 1_767_614_400_000}


@pytest_asyncio.fixture
async def url(api_without_temporal: ApiHarness) -> AsyncIterator[str]:
    async with served(api_without_temporal.app) as port:
        yield f"http://{HOST}:{port}"


async def imported(url: str, file: Path, *options: str) -> Ran:
    return await settlement("statement", "import", str(file), *PERIOD, *options, url=url)


async def findings(api: ApiHarness, **query: Any) -> set[tuple[str, str]]:  # noqa: ANN401 - any query
    items = (await api.http.get("/v1/reconciliation/findings", params={"limit": 100, **query})).json()["items"]
    return {(each["requestUniqueNo"], each["kind"]) for each in items}


async def test_an_import_reports_exactly_the_planted_differences_once(
    api_without_temporal: ApiHarness, url: str, tmp_path: Path
) -> None:
    cases = [*agreeing(2_500), *planted()]
    await fill(api_without_temporal.ledger.engine, cases)
    count = write_csv(tmp_path / "day.csv", cases)
    first = await imported(url, tmp_path / "day.csv")
    assert first.code == 4, first.err
    fields = first.fields()
    assert (fields["state"], fields["lines"], fields["differences"]) == ("DONE", f"{count} of {count}", "8")
    assert (fields["findingsNew"], fields["undecided"]) == ("8", "0")
    assert "sending the lines: 100 %" in first.err
    assert await findings(api_without_temporal) == PLANTED
    again = (await imported(url, tmp_path / "day.csv", "--json")).json()
    assert (again["findingsNew"], again["findingsOpen"], again["statementId"]) == (0, 8, 2)
    assert await findings(api_without_temporal) == PLANTED
    listed = await settlement("statement", "list", url=url)
    assert [line[:2] for line in listed.rows()[1:]] == [["2", "DONE"], ["1", "DONE"]]
    assert (await settlement("statement", "show", "1", "--json", url=url)).json()["findingsNew"] == 8


async def test_an_operator_closes_a_finding_and_it_stays_closed(
    api_without_temporal: ApiHarness, url: str, tmp_path: Path
) -> None:
    write_csv(tmp_path / "day.csv", [Case("N", None, (line("N", APPLIED),))])
    assert (await imported(url, tmp_path / "day.csv")).code == 4
    (row_,) = (await settlement("findings", "--json", url=url)).lines()
    assert (row_["amount"], row_["currency"]) == ("12.50", "USD")
    assert row_["action"].startswith("find out who sent the adjust")
    why = ("--note", "another client", "--reference", "ticket 7")
    closed = await settlement("close-finding", str(row_["findingId"]), *why, url=url)
    again = await imported(url, tmp_path / "day.csv")
    assert (closed.code, closed.fields()["status"], again.code) == (0, "CLOSED", 0)
    assert again.fields()["findingsClosed"] == "1"
    assert await findings(api_without_temporal, status="OPEN") == set()


async def test_a_statement_that_agrees_exits_with_0(api_without_temporal: ApiHarness, url: str, tmp_path: Path) -> None:
    await fill(api_without_temporal.ledger.engine, [Case("N", row("N"), ())])
    write_csv(tmp_path / "day.csv", [Case("N", None, (line("N", APPLIED),))])
    ran = await imported(url, tmp_path / "day.csv")
    assert (ran.code, ran.fields()["differences"]) == (0, "0")


ALPHA = """
[systems.alpha]
default = true
base_url = "https://alpha.example"
[systems.alpha.statement]
delimiter = ";"
number = "serial"
"""


async def test_entry_of_the_system_names_the_columns(
    ledger: FlakyLedger, dead_temporal: Client, tmp_path: Path
) -> None:
    systems, day = tmp_path / "systems.toml", tmp_path / "day.csv"
    systems.write_text(ALPHA)
    day.write_text(f"serial;kind;amount;currency;time\nN;applied;12.50;USD;{STARTS_AT.isoformat()}\n")
    settings = QUICK_SETTINGS.model_copy(update={"external_systems": systems})
    async with open_api(ledger, dead_temporal, settings) as api, served(api.app) as port:
        url = f"http://{HOST}:{port}"
        by_entry = await imported(url, day, "--system", "alpha", "--margin", "0")
        assert (by_entry.code, by_entry.fields()["differences"]) == (4, "1"), by_entry.err
        (tmp_path / "columns.toml").write_text("")
        by_file = await imported(url, day, "--system", "alpha", "--columns", str(tmp_path / "columns.toml"))
        assert (by_file.code, "must be in the header once" in by_file.err) == (2, True), by_file.err
        unknown = await imported(url, day, "--system", "beta")
        assert (unknown.code, "no external system has the name 'beta'" in unknown.err) == (1, True), unknown.err


async def test_a_terminal_shows_bars_and_ctrl_c_says_how_to_continue(
    api_without_temporal: ApiHarness, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [*agreeing(1_100), *planted()]
    await fill(api_without_temporal.ledger.engine, cases)
    write_csv(tmp_path / "day.csv", cases)
    advance, comparing, going_on = StatementComparison.advance, asyncio.Event(), asyncio.Event()

    async def slow(self: StatementComparison, statement_id: int) -> object:
        comparing.set()
        await going_on.wait()
        return await advance(self, statement_id)

    monkeypatch.setattr(StatementComparison, "advance", slow)
    command = ("statement", "import", str(tmp_path / "day.csv"), *PERIOD)
    async with terminal(*command, url=url) as screen:
        await comparing.wait()
        screen.interrupts()
        interrupted = await screen.ends()
    assert interrupted.code == 130
    for text in ("sending the lines", "100%", "import 1 is not complete; continue it with the same command"):
        assert text in interrupted.out
    # The API may have completed the comparison by then; the file is then imported again.
    going_on.set()
    async with terminal(*command, url=url) as screen:
        ran = await screen.ends()
    assert ran.code == 4
    assert "differences are open" in ran.out
    assert await findings(api_without_temporal) == PLANTED


async def test_too_many_differences_report_nothing(api_without_temporal: ApiHarness, url: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "day.csv", planted())
    ran = await imported(url, tmp_path / "day.csv", "--max-differences", "3")
    assert (ran.code, ran.fields()["state"]) == (1, "REFUSED")
    assert "more than 3 differences" in ran.err
    assert await findings(api_without_temporal) == set()


async def test_nothing_is_imported_from_a_file_with_a_bad_line(
    api_without_temporal: ApiHarness, url: str, tmp_path: Path
) -> None:
    write_csv(tmp_path / "day.csv", agreeing(50))
    with (tmp_path / "day.csv").open("a") as opened:
        opened.write("A,applied,12.5.0,USD,2026-01-05T12:00:00Z\n")
    ran = await imported(url, tmp_path / "day.csv")
    assert (ran.code, ran.out) == (2, "")
    assert 'column "amount": must be a plain decimal' in ran.err
    assert await BrokerStatements(api_without_temporal.ledger.engine).newest(10) == []


async def test_an_import_that_was_interrupted_is_continued_by_the_same_command(
    api_without_temporal: ApiHarness, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost reply, a killed command or a restarted API leave an import with a part of its lines."""
    cases = [*agreeing(3_000), *planted()]
    await fill(api_without_temporal.ledger.engine, cases)
    write_csv(tmp_path / "day.csv", cases)
    record = BrokerStatements(api_without_temporal.ledger.engine)
    add_lines, calls = BrokerStatements.add_lines, 0

    async def failing(self: BrokerStatements, statement_id: int, lines: StatementLines, at: datetime) -> object:
        nonlocal calls
        calls += 1
        added = await add_lines(self, statement_id, lines, at)
        if calls == 2:
            message = "the reply is lost"
            raise OSError(message)
        return added

    monkeypatch.setattr(BrokerStatements, "add_lines", failing)
    ran = await imported(url, tmp_path / "day.csv")
    assert ran.code == 4, ran.err
    assert "will retry" in ran.err
    (statement,) = await record.newest(10)
    assert statement.lines_received == statement.line_count
    assert await findings(api_without_temporal) == PLANTED


async def test_the_lines_after_those_that_have_arrived_are_sent(
    api_without_temporal: ApiHarness, url: str, tmp_path: Path
) -> None:
    cases = [*agreeing(1_100), *planted()]
    await fill(api_without_temporal.ledger.engine, cases)
    file = tmp_path / "day.csv"
    lines = [each for case in cases for each in case.lines]
    count = write_csv(file, cases)
    statement_file = StatementFile(file, StatementColumns(), STARTS_AT, ENDS_AT)
    with checked_file(statement_file, _NoDisplay()) as checked:
        digest = checked.digest
    begun = await api_without_temporal.http.post(STATEMENTS, json=BODY | {"digest": digest, "lineCount": count})
    record = BrokerStatements(api_without_temporal.ledger.engine)
    part = StatementLines(position=0, lines=tuple(lines[:17]))
    await record.add_lines(begun.json()["statementId"], part, datetime.now(UTC))
    ran = await imported(url, file)
    assert "17 lines have arrived" in ran.err
    assert ran.fields()["statementId"] == "1"
    assert await findings(api_without_temporal) == PLANTED


class _NoDisplay:
    def show(self, step: str, done: float, total: float) -> None:
        """Show nothing."""


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"digest": "A" * 64}, "digest"),
        ({"endsAt": "2026-01-05T00:00:00Z"}, "body"),
        ({"endsAt": "9999-01-05T00:00:00Z"}, "endsAt"),
        ({"startsAt": "2026-01-05T00:00:00"}, "startsAt"),
        ({"lineCount": -1}, "lineCount"),
        ({"lineCount": 10_000_001}, "lineCount"),
        ({"marginS": 86_401}, "marginS"),
        ({"differencesMax": 0}, "differencesMax"),
        ({"system": "gone"}, "system"),
        ({"company": "x"}, "company"),
    ],
)
async def test_an_invalid_request_is_named(
    api_without_temporal: ApiHarness, change: dict[str, Any], field: str
) -> None:
    answer = await api_without_temporal.http.post(STATEMENTS, json=BODY | change)
    assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, [field])


async def test_requests_that_do_not_fit_the_import_are_refused(api_without_temporal: ApiHarness) -> None:
    http = api_without_temporal.http
    begun = (await http.post(STATEMENTS, json=BODY)).json()
    path = f"{STATEMENTS}/{begun['statementId']}"
    again = await http.post(STATEMENTS, json=BODY)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    early = await http.post(f"{path}/comparison")
    gap = await http.post(f"{path}/lines", json={"position": 1, "lines": [LINE]})
    bad = await http.post(f"{path}/lines", json={"position": 0, "lines": [LINE, LINE | {"amount": "1e3"}]})
    assert [each.status_code for each in (early, gap, bad)] == [409, 409, 422]
    assert [each["field"] for each in bad.json()["errors"]] == ["lines.1.amount"]
    for method, other in (("GET", ""), ("POST", "/comparison")):
        assert (await http.request(method, f"{STATEMENTS}/999{other}")).status_code == 404
    missing = await http.post(f"{STATEMENTS}/999/lines", json={"position": 0, "lines": [LINE]})
    assert missing.status_code == 404
    await http.post(f"{path}/lines", json={"position": 0, "lines": [LINE]})

    async def compared() -> httpx2.Response | None:
        answer = await http.post(f"{path}/comparison")
        return answer if answer.json()["state"] in {"DONE", "REFUSED"} else None

    # One request compares for about a second; on a busy machine another one is needed.
    done = await until(compared)
    assert (done.json()["state"], done.json()["findingsNew"]) == ("DONE", 1)
    assert (await http.post(f"{path}/comparison")).json() == done.json()
    assert (await http.post(STATEMENTS, json=BODY)).status_code == 201


async def test_only_the_request_with_lines_may_be_large(api_without_temporal: ApiHarness) -> None:
    http = api_without_temporal.http
    begun = (await http.post(STATEMENTS, json=BODY | {"lineCount": LINES_PER_REQUEST_MAX})).json()
    path = f"{STATEMENTS}/{begun['statementId']}"
    lines = [LINE | {"requestUniqueNo": f"{each:048}"} for each in range(LINES_PER_REQUEST_MAX)]
    large = await http.post(f"{path}/lines", json={"position": 0, "lines": lines})
    assert (large.status_code, large.json()["linesReceived"]) == (200, LINES_PER_REQUEST_MAX)
    padding = " " * LINES_BYTES_MAX
    for target, content in ((f"{path}/lines", padding + "{}"), (STATEMENTS, " " * 16_384 + "{}")):
        answer = await http.post(target, content=content, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")


async def test_abandoned_imports_expire_when_the_next_one_begins(
    api_without_temporal: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = api_without_temporal.http
    first = (await http.post(STATEMENTS, json=BODY)).json()["statementId"]
    monkeypatch.setattr(routes, "ABANDONED_AFTER", -routes.ABANDONED_AFTER)
    monkeypatch.setattr(routes, "EXPIRY_BUDGET_S", 30.0)
    await http.post(STATEMENTS, json=BODY | {"lineCount": 2})
    assert (await http.get(f"{STATEMENTS}/{first}")).json()["state"] == "EXPIRED"
    page = await Findings(api_without_temporal.ledger.engine).page(status=FindingStatus.OPEN, before=None, limit=10)
    assert page.items == ()
