"""What a key may read of external systems and their circuit breakers: only what concerns the companies of its scope."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client

from settlement.calls import Rule, Verdict
from settlement.circuit_breaker import REPORT_VALID_S, BreakerReport, BreakerState
from settlement.keys import Role
from settlement.states import Outcome, State
from tests.api.api_harness import SETTLEMENTS, ApiHarness, accept, bearer
from tests.api.snapshots import snapshot_in
from tests.api.systems_file import open_with_systems
from tests.support.ledgers import FlakyLedger
from tests.support.orders import settlement

SYSTEMS = "/v1/external-systems"
FILE = """
[systems.alpha]
companies = [7]
base_url = "https://alpha.example"
[systems.alpha.breaker]

[systems.beta]
companies = [8, 9]
base_url = "https://beta.example"
[systems.beta.limits]
calls_in_flight = 40
[systems.beta.breaker]
unknowns = 5
[systems.beta.statement]
time_format = "epoch_ms"

[systems.other]
default = true
base_url = "https://other.example"
"""
EVERYTHING_HIDDEN = dict.fromkeys(
    ("default", "address", "cancelOperation", "trace", "codes", "businessStatuses", "policy", "limits")
)


@pytest_asyncio.fixture
async def api(ledger: FlakyLedger, dead_temporal: Client, systems_file: Path) -> AsyncIterator[ApiHarness]:
    """Yield the app with three external systems and keys, and no Temporal."""
    async with open_with_systems(ledger, dead_temporal, systems_file, FILE) as opened:
        yield opened


async def read(api: ApiHarness, companies: Any, path: str = SYSTEMS) -> tuple[int, dict[str, Any]]:  # noqa: ANN401 - a scope
    """Read with the key of a viewer that has this scope."""
    answer = await api.http.get(path, headers=bearer(await api.create_key(Role.VIEWER, companies=companies)))
    return answer.status_code, answer.json()


async def report(api: ApiHarness, worker: str, state: BreakerState, *, age_s: float = 0) -> datetime:
    """Report the breaker of beta as a worker does; return since when it has this state."""
    now = datetime.now(UTC)
    since = now - timedelta(minutes=3)
    breakers = api.app.state.services.breakers
    await breakers.replace(worker, {"beta": BreakerReport(state=state, since=since)}, now - timedelta(seconds=age_s))
    return since


async def test_key_sees_the_systems_of_its_companies_and_only_these_companies(api: ApiHarness) -> None:
    _, listed = await read(api, (8, 11, 12))
    assert {each["name"]: each["companies"] for each in listed["items"]} == {"beta": [8], "other": [11, 12]}
    for each in listed["items"]:
        assert each.items() >= EVERYTHING_HIDDEN.items()
    assert (listed["file"], listed["problem"]) == (None, None)
    assert not any(text in str(listed) for text in ("example", "alpha"))


@pytest.mark.parametrize(("name", "status"), [("beta", 200), ("alpha", 404), ("other", 404), ("nothing", 404)])
async def test_system_that_serves_no_company_of_the_key_is_not_found(api: ApiHarness, name: str, status: int) -> None:
    found, body = await read(api, (8,), f"{SYSTEMS}/{name}")
    assert found == status
    if status == 404:
        assert (body["code"], body["detail"]) == ("not-found", f"no external system has the name {name!r}")
    else:
        assert (body["companies"], body["address"], body["statement"], body["actions"]) == ([8], None, None, [])


async def test_pause_is_shown_without_the_operator(api: ApiHarness) -> None:
    await api.app.state.services.pauses.pause("beta", "ops-1", "maintenance", datetime.now(UTC), key_id="key-1")
    _, listed = await read(api, (9,))
    (beta,) = listed["items"]
    assert (beta["paused"]["note"], beta["paused"]["operator"], beta["paused"]["keyId"]) == ("maintenance", None, None)
    _, whole = await read(api, "all", f"{SYSTEMS}/beta")
    assert (whole["paused"]["operator"], whole["actions"][0]["operator"]) == ("ops-1", "ops-1")


async def test_key_with_a_scope_may_not_pause(api: ApiHarness) -> None:
    headers = bearer(await api.create_key(Role.OPERATOR, companies=(8,)))
    answer = await api.http.post(f"{SYSTEMS}/beta/pause", json={"note": "x"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_breaker_is_shown_over_all_workers(api: ApiHarness) -> None:
    await report(api, "w-1", BreakerState.CLOSED)
    await report(api, "w-2", BreakerState.HALF_OPEN)
    since = await report(api, "w-3", BreakerState.OPEN)
    await report(api, "w-4", BreakerState.OPEN, age_s=REPORT_VALID_S + 1)
    _, listed = await read(api, "all")
    shown = {each["name"]: each["breaker"] for each in listed["items"]}
    assert shown["beta"].pop("since") == since.isoformat().replace("+00:00", "Z")
    assert shown["beta"] == {"state": "OPEN", "workers": 3, "workersHalfOpen": 1, "workersOpen": 1}
    none = {"state": None, "since": None, "workers": 0, "workersHalfOpen": 0, "workersOpen": 0}
    assert (shown["alpha"], shown["other"]) == (none, None)
    _, one = await read(api, (8,), f"{SYSTEMS}/beta")
    assert one["breaker"]["state"] == "OPEN"
    _, whole = await read(api, "all", f"{SYSTEMS}/beta")
    assert whole["limits"] == {"callsInFlight": 40, "callsPerS": None}
    assert (whole["statement"]["timeFormat"], whole["statement"]["delimiter"]) == ("epoch_ms", ",")


async def test_explanation_says_that_the_breaker_kept_the_order_and_how_it_is_now(api: ApiHarness) -> None:
    order = settlement(company_id=8, system="beta")
    refused = Verdict(outcome=Outcome.NOT_SENT, rule=Rule.BREAKER_OPEN)
    snapshot = snapshot_in(order, State.EXPIRED)
    (call,) = snapshot.calls
    snapshot = snapshot.model_copy(update={"calls": (call.model_copy(update={"verdict": refused}),)})
    number = await accept(api.ledger, order, snapshot)
    path = f"{SETTLEMENTS}/{number}/explain"
    _, explained = await read(api, (8,), path)
    assert "the circuit breaker of this external system was open, so the request was not sent" in str(explained)
    assert explained["breaker"] == "The circuit breaker of the external system beta: no worker reports its state."
    await report(api, "w-1", BreakerState.CLOSED)
    since = await report(api, "w-2", BreakerState.OPEN)
    _, explained = await read(api, (8,), path)
    at = since.isoformat(timespec="seconds").replace("+00:00", "Z")
    assert explained["breaker"] == (
        f"The circuit breaker of the external system beta is OPEN now, since {at}, in 1 of 2 workers."
    )
    other = await accept(api.ledger, settlement(company_id=8, system="beta"), snapshot_in(order, State.SETTLED))
    assert (await read(api, (8,), f"{SETTLEMENTS}/{other}/explain"))[1]["breaker"] is None
