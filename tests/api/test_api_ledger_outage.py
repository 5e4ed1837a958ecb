"""The ledger is unreachable: 503 ledger-unavailable, without internal details or a wrong claim about the money."""

import time
from collections.abc import AsyncIterator, Sequence
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
from settlement.ids import SettlementId
from settlement.order_limits import OrderLimit
from settlement.scope import EVERYTHING, Scope
from settlement.snapshot import Snapshot
from settlement.start import SettlementInput
from settlement.states import State
from tests.api.api_harness import ApiHarness, open_api, open_api_with_temporal
from tests.api.sockets import HOST, tcp_proxy
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
    """Raises an OSError below SQLAlchemy, as `Ledger` documents it."""

    async def accept(self, *_: object) -> tuple[SettlementRecord, bool]:
        """Fail."""
        raise self._lost

    async def find(self, settlement_id: SettlementId, scope: Scope = EVERYTHING) -> SettlementRecord | None:  # noqa: ARG002 - a double has its original's parameters
        """Fail."""
        raise self._lost

    async def with_number(self, number: str, scope: Scope = EVERYTHING) -> list[SettlementId]:  # noqa: ARG002 - a double has its original's parameters
        """Fail."""
        raise self._lost

    async def page(self, *_: object, **__: object) -> Page:
        """Fail."""
        raise self._lost

    @property
    def _lost(self) -> OSError:
        return ConnectionResetError(f"{PASSWORD} at db.internal")


class SilentLedger(FlakyLedger):
    """Has open connections to a database that no longer responds and does not close them."""

    @shielded_transaction
    async def accept(self, *_: object) -> tuple[SettlementRecord, bool]:
        """Hang as long as the real ledger would."""
        return await hang()

    @shielded_transaction
    async def find(self, settlement_id: SettlementId, scope: Scope = EVERYTHING) -> SettlementRecord | None:  # noqa: ARG002 - a double has its original's parameters
        """Hang as long as the real ledger would."""
        return await hang()

    @shielded_transaction
    async def with_number(self, number: str, scope: Scope = EVERYTHING) -> list[SettlementId]:  # noqa: ARG002 - a double has its original's parameters
        """Hang as long as the real ledger would."""
        return await hang()

    @shielded_transaction
    async def page(self, *_: object, **__: object) -> Page:
        """Hang as long as the real ledger would."""
        return await hang()


class HalfSilentLedger(FlakyLedger):
    """Accepts, and then does not respond."""

    @shielded_transaction
    async def find(self, settlement_id: SettlementId, scope: Scope = EVERYTHING) -> SettlementRecord | None:  # noqa: ARG002 - a double has its original's parameters
        """Hang as long as the real ledger would."""
        return await hang()


class LateLedger(FlakyLedger):
    """Accepts after the caller's wait, on a machine that is too busy to notice the timeout."""

    async def accept(
        self, settlement: SettlementInput, snapshot: Snapshot, limits: Sequence[OrderLimit] = ()
    ) -> tuple[SettlementRecord, bool]:
        """Accept, and block the event loop meanwhile."""
        accepted = await super().accept(settlement, snapshot, limits)
        time.sleep(1.2)  # noqa: ASYNC251 - blocks on purpose
        return accepted


class BrokenLedger(FlakyLedger):
    """Has a defect."""

    async def with_number(self, number: str, scope: Scope = EVERYTHING) -> list[SettlementId]:  # noqa: ARG002 - a double has its original's parameters
        """Raise an error that no database raises."""
        raise ZeroDivisionError(PASSWORD, number)


class ForgetfulLedger(FlakyLedger):
    """Accepts, and then cannot be read: the database failed while the caller waited."""

    async def find(self, settlement_id: SettlementId, scope: Scope = EVERYTHING) -> SettlementRecord | None:  # noqa: ARG002 - a double has its original's parameters
        """Fail."""
        raise OperationalError(PASSWORD, None, ConnectionResetError())


OUTAGES: dict[str, tuple[type[FlakyLedger], str]] = {
    "database gone": (FlakyLedger, f"sqlite:///{{folder}}/gone/{PASSWORD}.db"),
    "schema missing": (FlakyLedger, f"sqlite:///{{folder}}/{PASSWORD}.db"),
    "postgres down": (FlakyLedger, f"postgresql://clerk:{PASSWORD}@{HOST}:{{port}}/ledger"),
    "connection lost": (UnreachableLedger, "sqlite://"),
}
"""A ledger and the address of its database, for each kind of outage."""


@pytest_asyncio.fixture(params=OUTAGES.values(), ids=OUTAGES)
async def lost_ledger(request: pytest.FixtureRequest, tmp_path: Path, dead_port: int) -> AsyncIterator[FlakyLedger]:
    kind, url = request.param
    engine = open_engine(url.format(folder=tmp_path, port=dead_port))
    yield kind(engine)
    await engine.dispose()


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_an_unreachable_ledger_is_reported_without_details(
    lost_ledger: FlakyLedger, dead_temporal: Client, method: str, path: str
) -> None:
    async with open_api(lost_ledger, dead_temporal) as api:
        answer = await api.http.request(method, path, json=body_for(method, path))
    assert (answer.status_code, answer.json()["code"]) == (503, "ledger-unavailable")
    assert int(answer.headers["retry-after"]) > 0
    for inside in (PASSWORD, "clerk", "SELECT", "INSERT", "no such table", "db.internal", HOST):
        assert inside not in answer.text


async def test_a_ledger_that_accepts_no_connection_is_reported_within_its_limit(
    dead_temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_engine, "STATEMENT_TIMEOUT_S", 2)
    async with tcp_proxy() as to_postgres:
        await to_postgres.stop_answering()
        engine = open_engine(f"postgresql://clerk@{HOST}:{to_postgres.port}/ledger")
        async with open_api(FlakyLedger(engine), dead_temporal) as api:
            answer, took_s = await timed(api.post(order(), prefer="wait=1"))
        await engine.dispose()
    assert (answer.status_code, answer.json()["code"]) == (503, "ledger-unavailable")
    assert took_s < 6


@pytest.mark.parametrize(
    ("method", "path"), [*PATHS, ("POST", "/v1/settlements?no-wait")], ids=lambda value: value.rpartition("/")[2]
)
async def test_an_unresponsive_ledger_on_open_connections_blocks_no_caller(
    engine: AsyncEngine, dead_temporal: Client, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    """A database behind a broken network sends nothing, not even a reset. Only our own timeout ends the wait."""
    monkeypatch.setattr(ledger_engine, "STATEMENT_TIMEOUT_S", 0.1)
    headers = {} if "no-wait" in path else {"prefer": "wait=1"}
    async with open_api(SilentLedger(engine), dead_temporal) as api:
        request = api.http.request(method, path.partition("?")[0], json=body_for(method, path), headers=headers)
        answer, took_s = await timed(request)
    assert (answer.status_code, answer.json()["code"]) == (503, "ledger-unavailable")
    assert took_s < 4


async def test_an_order_that_the_ledger_did_not_accept_is_never_started(
    lost_ledger: FlakyLedger, temporal: Client
) -> None:
    """The response says that no money moved, so none may move."""
    body = order()
    external = ScriptedExternalSystem(adjust=APPLIED)
    async with open_api(lost_ledger, temporal) as api, api.workers(external):
        answer = await api.post(body, prefer="wait=2")
    assert answer.status_code == 503
    assert external.adjusts == []


async def test_the_decision_is_returned_although_the_ledger_fails_after_accepting(api: ApiHarness) -> None:
    """The workflow writes when the database is back."""
    body = order()
    api.ledger.down = True
    async with api.workers(ScriptedExternalSystem(adjust=APPLIED)):
        answer = await api.post(body, prefer="wait=20")
        assert (answer.status_code, answer.json()["decision"]) == (201, "PROCEED")
        assert (await api.get(body["requestUniqueNo"])).json()["state"] == "ADJUSTING"
        api.ledger.down = False
        await api.wait_for_state(body["requestUniqueNo"], State.SETTLED)


async def test_a_started_order_is_never_reported_as_not_accepted(engine: AsyncEngine, temporal: Client) -> None:
    """`ledger-unavailable` says that nothing was accepted. Here the adjust is already in flight."""
    body = order()
    async with open_api_with_temporal(ForgetfulLedger(engine), temporal) as api:
        answer = await api.post(body, prefer="wait=2")
    assert answer.json().get("code") != "ledger-unavailable"
    assert answer.status_code == 202


async def test_a_ledger_that_stops_responding_does_not_extend_the_wait(engine: AsyncEngine, temporal: Client) -> None:
    """The caller chose the wait. Reading the newest state is optional."""
    async with open_api_with_temporal(HalfSilentLedger(engine), temporal) as api:
        answer, took_s = await timed(api.post(order(), prefer="wait=2"))
    assert answer.status_code == 202
    assert took_s < 5


async def test_a_ledger_that_takes_longer_than_the_wait_causes_no_error(engine: AsyncEngine, temporal: Client) -> None:
    """The order is accepted. It is not known whether it was started; a repeated request shows it."""
    async with open_api_with_temporal(LateLedger(engine), temporal) as api:
        answer = await api.post(order(), prefer="wait=1")
    assert answer.status_code in {202, 503}


async def test_an_unexpected_error_is_a_500_problem_without_details(engine: AsyncEngine, dead_temporal: Client) -> None:
    """The caller learns that the outcome is in doubt, and no internal details."""
    async with open_api(BrokenLedger(engine), dead_temporal, raising=False) as api:
        answer = await api.get("N-1")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert PASSWORD not in answer.text


class RefusingLedger(FlakyLedger):
    """Has a database that responds and rejects a row."""

    async def accept(self, *_: object) -> tuple[SettlementRecord, bool]:
        """Fail as a violated constraint does."""
        raise IntegrityError("INSERT", {}, Exception("NOT NULL constraint failed"))


async def test_a_violated_database_constraint_is_a_500_and_not_an_outage(
    engine: AsyncEngine, dead_temporal: Client
) -> None:
    """The database is up, and a repeated request would fail again: this is a defect of ours."""
    async with open_api(RefusingLedger(engine), dead_temporal) as api:
        answer = await api.post(order())
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "constraint" not in answer.text
