"""The simulator's statement: every change of a balance once, in order of time, within its period."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from simulator import statement as statement_module
from simulator.server import serving
from simulator.service import SimulatorSettings

CANCEL_PATH = "/get-user-amount"
Maker = Callable[..., dict[str, Any]]
HOUR = timedelta(hours=1)


def fetch(client: httpx2.Client, starts_at: datetime | None = None, ends_at: datetime | None = None) -> list[list[str]]:
    """Return the lines of a statement, by default of everything until now."""
    now = datetime.now(UTC)
    period = {"from": (starts_at or now - HOUR).isoformat(), "to": (ends_at or now + HOUR).isoformat()}
    answer = client.get("/simulator/statement", params=period)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    header, *lines = list(csv.reader(answer.text.splitlines()))
    assert header == ["requestUniqueNo", "kind", "amount", "currency", "time"]
    return lines


def of(lines: list[list[str]], number: str) -> list[tuple[str, ...]]:
    """Return kind, amount and currency of the lines of a number."""
    return [tuple(line[1:4]) for line in lines if line[0] == number]


@pytest.mark.parametrize(
    ("simulate", "expected"),
    [
        (None, [("applied", "12.50", "USD"), ("reversed", "-12.50", "USD")]),
        ({"adjust": "reject"}, []),
        ({"cancel": "not_reversed"}, [("applied", "12.50", "USD")]),
        ({"cancel": "reversed_twice"}, [("applied", "12.50", "USD"), *[("reversed", "-12.50", "USD")] * 2]),
    ],
)
def test_every_change_of_a_balance_is_one_line(
    client: httpx2.Client,
    adjust_body: Maker,
    cancel_body: Maker,
    simulate: dict[str, Any] | None,
    expected: list[tuple[str, ...]],
) -> None:
    """Repeats of adjust and cancel change nothing, so they add no line."""
    adjust = adjust_body(simulate)
    number = adjust["requestUniqueNo"]
    for body in (adjust, adjust):
        client.post("/", json=body)
    for _ in range(2):
        client.post(CANCEL_PATH, json=cancel_body())
    lines = fetch(client)
    assert of(lines, number) == expected
    (account,) = client.get("/simulator/accounts", params={"thirdServerCode": f"customer of {number}"}).json()[
        "accounts"
    ] or [{"balance": "0"}]
    assert Decimal(account["balance"]) == sum(Decimal(amount) for _, amount, _ in expected)


def test_the_period_includes_its_begin_and_excludes_its_end(
    client: httpx2.Client, adjust_body: Maker, number: str
) -> None:
    client.post("/", json=adjust_body())
    (line,) = [each for each in fetch(client) if each[0] == number]
    at = datetime.fromisoformat(line[4])
    microsecond = timedelta(microseconds=1)
    assert of(fetch(client, at, at + microsecond), number)
    assert not of(fetch(client, at + microsecond, at + HOUR), number)
    assert not of(fetch(client, at - HOUR, at), number)


def test_a_long_statement_arrives_in_pages_and_survives_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adjust_body: Maker
) -> None:
    monkeypatch.setattr(statement_module, "PAGE", 2)
    settings = SimulatorSettings(database=str(tmp_path / "simulator.sqlite"))
    headers = {"trace": "trace-1", "timestamp": "1760000000000"}
    numbers = [f"ORD,{each}" for each in range(5)]
    with serving(settings) as url, httpx2.Client(base_url=url, headers=headers) as http:
        for each in numbers:
            http.post("/", json=adjust_body(requestUniqueNo=each))
    with serving(settings) as url, httpx2.Client(base_url=url) as http:
        assert [line[0] for line in fetch(http)] == numbers


@pytest.mark.parametrize(
    "query", ["", "from=2026-01-05T00:00:00Z", "from=2026-01-05&to=2026-01-06", "from=1&to=2", "from=x&to=y&z=1"]
)
def test_an_unreadable_period_is_refused(client: httpx2.Client, query: str) -> None:
    assert client.get(f"/simulator/statement?{query}").status_code == 422


def test_any_readable_period_is_answered(client: httpx2.Client) -> None:
    period = "from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59Z"
    assert client.get(f"/simulator/statement?{period}").status_code == 200
