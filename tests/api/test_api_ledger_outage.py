"""The ledger is out of reach: 503 ledger-unavailable, no word about where it is, and no false word about the money."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from ledger import Page, SettlementRecord, open_engine
from ledger import engine as ledger_engine
from ledger.transactions import shielded_transaction
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.states import State
from tests.api.doors import Door, open_door, open_real_door
from tests.api.wire import HOST, line
from tests.support.ledgers import FlakyLedger, hang
from tests.support.orders import order
from tests.support.scripted import APPLIED, ScriptedExternalSystem
from tests.support.stopwatch import timed

PASSWORD = "hunter2"  # noqa: S105 - a value that looks like one
PATHS = [
    ("POST", "/v1/settlements"),
    ("GET", "/v1/settlements/N-1"),
    ("GET", "/v1/settlements"),
    ("POST", "/v1/settlements/N-1/resolution"),
    ("POST", "/v1/settlements/N-1/cancel-adjust-retries"),
]
EVIDENCE = {"reasonCode": "OTHER", "note": "by hand", "brokerReference": "ticket 17"}


def body_for(method: str, path: str) -> dict[str, Any] | None:
    """Return a valid body for a request."""
    if method == "GET":
        return None
    return EVIDENCE if "N-1" in path else order()


class UnreachableLedger(FlakyLedger):
    """Raises what a database may raise that is lost below SQLAlchemy, as `Ledger` documents it."""

    async def accept(self, settlement: SettlementInput, snapshot: Snapshot) -> tuple[SettlementRecord, bool]:  # noqa: ARG002 - a double has its original's parameters
        """Fail."""
        raise self._lost

    async def find(self, request_unique_no: str) -> SettlementRecord | None:  # noqa: ARG002 - a double has its original's parameters
        """Fail."""
        raise self._lost

    async def page(self, *_: object, **__: object) -> Page:
        """Fail."""
        raise self._lost

    @property
    def _lost(self) -> OSError:
        return ConnectionResetError(f"{PASSWORD} at db.internal")


class SilentLedger(FlakyLedger):
    """Has open connections to a database that does not answer any more, and does not hang up either."""

    @shielded_transaction
    async def accept(self, settlement: SettlementInput, snapshot: Snapshot) -> tuple[SettlementRecord, bool]:  # noqa: ARG002 - a double has its original's parameters
        """Hang, for as long as the real one would."""
        return await hang()

    @shielded_transaction
    async def find(self, request_unique_no: str) -> SettlementRecord | None:  # noqa: ARG002 - a double has its original's parameters
        """Hang, for as long as the real one would."""
        return await hang()

    @shielded_transaction
    async def page(self, *_: object, **__: object) -> Page:
        """Hang, for as long as the real one would."""
        return await hang()


class HalfSilentLedger(FlakyLedger):
    """Accepts, and then falls silent."""

    @shielded_transaction
    async def find(self, request_unique_no: str) -> SettlementRecord | None:  # noqa: ARG002 - a double has its original's parameters
        """Hang, for as long as the real one would."""
        return await hang()


class LateLedger(FlakyLedger):
    """Accepts when the caller's second is over, on a machine too busy to notice in time."""

    async def accept(self, settlement: SettlementInput, snapshot: Snapshot) -> tuple[SettlementRecord, bool]:
        """Accept, and stop the clockwork meanwhile."""
        accepted = await super().accept(settlement, snapshot)
        time.sleep(1.2)  # noqa: ASYNC251 - the very thing
        return accepted


class BrokenLedger(FlakyLedger):
    """Has a bug."""

    async def find(self, request_unique_no: str) -> SettlementRecord | None:
        """Fail as no database does."""
        raise ZeroDivisionError(PASSWORD, request_unique_no)


class ForgetfulLedger(FlakyLedger):
    """Accepts, and then cannot be read: the database went away while the caller waited."""

    async def find(self, request_unique_no: str) -> SettlementRecord | None:  # noqa: ARG002 - a double has its original's parameters
        """Fail."""
        raise OperationalError(PASSWORD, None, ConnectionResetError())


class SlowLedger(FlakyLedger):
    """Accepts, and then never gets a write done."""

    async def record(self, settlement: SettlementInput, snapshot: Snapshot) -> bool:  # noqa: ARG002 - a double has its original's parameters
        """Hang."""
        return await hang()


OUTAGES: dict[str, tuple[type[FlakyLedger], str]] = {
    "database gone": (FlakyLedger, f"sqlite:///{{folder}}/gone/{PASSWORD}.db"),
    "schema missing": (FlakyLedger, f"sqlite:///{{folder}}/{PASSWORD}.db"),
    "postgres down": (FlakyLedger, f"postgresql://clerk:{PASSWORD}@{HOST}:{{port}}/ledger"),
    "connection lost": (UnreachableLedger, "sqlite://"),
}
"""A ledger and its database's address, for each way of being out of reach."""


@pytest_asyncio.fixture(params=OUTAGES.values(), ids=OUTAGES)
async def lost_ledger(request: pytest.FixtureRequest, tmp_path: Path, dead_port: int) -> AsyncIterator[FlakyLedger]:
    kind, url = request.param
    engine = open_engine(url.format(folder=tmp_path, port=dead_port))
    yield kind(engine)
    await engine.dispose()


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_ledger_that_is_out_of_reach_is_named_and_nothing_else(
    lost_ledger: FlakyLedger, dead_temporal: Client, method: str, path: str
) -> None:
    async with open_door(lost_ledger, dead_temporal) as door:
        answer = await door.http.request(method, path, json=body_for(method, path))
    assert (answer.status_code, answer.json()["code"]) == (503, "ledger-unavailable")
    assert int(answer.headers["retry-after"]) > 0
    for inside in (PASSWORD, "clerk", "SELECT", "INSERT", "no such table", "db.internal", HOST):
        assert inside not in answer.text


async def test_ledger_that_takes_no_connection_is_named_within_its_own_limit(
    dead_temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_engine, "STATEMENT_TIMEOUT_S", 2)
    async with line() as to_postgres:
        await to_postgres.answer_nothing()
        engine = open_engine(f"postgresql://clerk@{HOST}:{to_postgres.port}/ledger")
        async with open_door(FlakyLedger(engine), dead_temporal) as door:
            answer, took_s = await timed(door.post(order(), prefer="wait=1"))
        await engine.dispose()
    assert (answer.status_code, answer.json()["code"]) == (503, "ledger-unavailable")
    assert took_s < 6


@pytest.mark.parametrize(
    ("method", "path"), [*PATHS, ("POST", "/v1/settlements?no-wait")], ids=lambda value: value.rpartition("/")[2]
)
async def test_ledger_that_falls_silent_on_open_connections_hangs_no_caller(
    engine: AsyncEngine, dead_temporal: Client, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    """A database cut off by the network sends nothing, not even a refusal; only our own clock ends the wait."""
    monkeypatch.setattr(ledger_engine, "STATEMENT_TIMEOUT_S", 0.1)
    headers = {} if "no-wait" in path else {"prefer": "wait=1"}
    async with open_door(SilentLedger(engine), dead_temporal) as door:
        request = door.http.request(method, path.partition("?")[0], json=body_for(method, path), headers=headers)
        answer, took_s = await timed(request)
    assert (answer.status_code, answer.json()["code"]) == (503, "ledger-unavailable")
    assert took_s < 4


async def test_order_that_the_ledger_did_not_take_is_never_started(lost_ledger: FlakyLedger, temporal: Client) -> None:
    """The answer says that no money moved, so none may."""
    body = order()
    external = ScriptedExternalSystem(adjust=APPLIED)
    async with open_door(lost_ledger, temporal) as door, door.workers(external):
        answer = await door.post(body, prefer="wait=2")
    assert answer.status_code == 503
    assert external.adjusts == []


async def test_decision_is_given_though_the_ledger_fails_after_accepting(door: Door) -> None:
    """The write-through is a courtesy; the workflow's own write follows when the database is back."""
    body = order()
    door.ledger.down = True
    async with door.workers(ScriptedExternalSystem(adjust=APPLIED)):
        answer = await door.post(body, prefer="wait=20")
        assert (answer.status_code, answer.json()["decision"]) == (201, "PROCEED")
        assert (await door.get(body["requestUniqueNo"])).json()["state"] == "ADJUSTING"
        door.ledger.down = False
        await door.reaches(body["requestUniqueNo"], State.SETTLED)


async def test_decision_is_given_though_the_write_through_hangs(engine: AsyncEngine, temporal: Client) -> None:
    body = order()
    slow, quick = SlowLedger(engine), FlakyLedger(engine)
    external = ScriptedExternalSystem(adjust=APPLIED)
    async with open_door(slow, temporal) as door, open_real_door(quick, temporal) as other, other.workers(external):
        answer = await door.post(body, prefer="wait=20")
        await other.reaches(body["requestUniqueNo"], State.SETTLED)
    assert (answer.status_code, answer.json()["decision"]) == (201, "PROCEED")


async def test_what_was_started_is_never_called_not_accepted(engine: AsyncEngine, temporal: Client) -> None:
    """`ledger-unavailable` means that nothing was accepted and no money moved; here the adjust is on its way."""
    body = order()
    async with open_real_door(ForgetfulLedger(engine), temporal) as door:
        answer = await door.post(body, prefer="wait=2")
    assert answer.json().get("code") != "ledger-unavailable"
    assert answer.status_code == 202


async def test_ledger_that_falls_silent_while_the_caller_waits_does_not_lengthen_the_wait(
    engine: AsyncEngine, temporal: Client
) -> None:
    """The wait is the caller's; what the ledger knows by then is only an ornament of the answer."""
    async with open_real_door(HalfSilentLedger(engine), temporal) as door:
        answer, took_s = await timed(door.post(order(), prefer="wait=2"))
    assert answer.status_code == 202
    assert took_s < 5


async def test_ledger_that_takes_all_of_the_wait_leaves_none_and_breaks_nothing(
    engine: AsyncEngine, temporal: Client
) -> None:
    """The order is accepted, and whether it is started is in doubt: the same request again tells."""
    async with open_real_door(LateLedger(engine), temporal) as door:
        answer = await door.post(order(), prefer="wait=1")
    assert answer.status_code in {202, 503}


async def test_unexpected_error_is_a_500_problem_without_a_word_of_it(
    engine: AsyncEngine, dead_temporal: Client
) -> None:
    """Whatever breaks, the caller learns that it is in doubt, and nothing of our insides."""
    async with open_door(BrokenLedger(engine), dead_temporal, raising=False) as door:
        answer = await door.get("N-1")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert PASSWORD not in answer.text


class RefusingLedger(FlakyLedger):
    """Has a database that answers, and refuses what is written."""

    async def accept(self, settlement: SettlementInput, snapshot: Snapshot) -> tuple[SettlementRecord, bool]:  # noqa: ARG002 - a double has its original's parameters
        """Fail, as a row that breaks a rule of the database does."""
        raise IntegrityError("INSERT", {}, Exception("NOT NULL constraint failed"))


async def test_a_broken_rule_of_the_database_is_a_fault_of_ours_and_no_outage(
    engine: AsyncEngine, dead_temporal: Client
) -> None:
    """Nobody can bring back a database that is there, and the same request again would fail again."""
    async with open_door(RefusingLedger(engine), dead_temporal) as door:
        answer = await door.post(order())
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "constraint" not in answer.text
