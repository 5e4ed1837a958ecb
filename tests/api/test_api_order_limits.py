"""An order above an order limit is refused with the name of the limit; nothing is stored and nothing is sent."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from temporalio.client import Client

from settlement.keys import Role
from tests.api.api_harness import WITH_KEYS, ApiHarness, bearer, open_api
from tests.support.ledgers import FlakyLedger
from tests.support.orders import order

FILE = """
[limits.largest]
currency = "USD"
per_order = "1000"

[limits.of-greedy]
client = "greedy"
per_hour = "20.00"

[limits.of-company-8]
company = 8
per_order = "10"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "limits.toml"
    path.write_text(FILE)
    return path


@pytest_asyncio.fixture
async def limited(ledger: FlakyLedger, dead_temporal: Client, file: Path) -> AsyncIterator[ApiHarness]:
    """Yield the app with order limits. Without Temporal an accepted order gets 503 and is in the ledger."""
    async with open_api(ledger, dead_temporal, WITH_KEYS.model_copy(update={"order_limits": file})) as opened:
        yield opened


def tighten(file: Path, largest: str) -> None:
    """Replace the largest amount in the file."""
    file.write_text(FILE.replace("1000", largest))


async def post(api: ApiHarness, key: str, company: int = 7, **fields: object) -> httpx2.Response:
    """Post an order."""
    return await api.post(order(**fields), companyId=str(company), **bearer(key))


@pytest.mark.parametrize(
    ("company", "amount", "limit"),
    [
        (7, "1000.01", "per_order = 1000 USD of the order limit largest"),
        (8, "10.01", "per_order = 10 USD of the order limit of-company-8"),
    ],
)
async def test_order_above_the_largest_amount_is_refused(
    limited: ApiHarness, company: int, amount: str, limit: str
) -> None:
    answer = await post(limited, await limited.create_key(Role.PLATFORM), company, amount=amount)
    assert (answer.status_code, answer.json()["code"]) == (422, "amount-limit")
    assert answer.json()["errors"] == [{"field": "amount", "rule": f"must not exceed {limit}"}]
    assert await limited.accepted_numbers() == []


async def test_sum_of_one_hour_is_of_one_client(limited: ApiHarness) -> None:
    greedy, other = [await limited.create_key(Role.PLATFORM, client) for client in ("greedy", "other")]
    body = order(amount="12.50")
    first = await limited.post(body, **bearer(greedy))
    again = await limited.post(body, **bearer(greedy))
    refused = await post(limited, greedy, amount="7.51")
    accepted = [await post(limited, greedy, amount="7.50"), await post(limited, other, amount="500")]
    assert {first.status_code, again.status_code, *(each.status_code for each in accepted)} == {503}
    assert (refused.status_code, refused.json()["code"]) == (422, "amount-limit")
    assert "20.00 USD for all its orders of one hour" in refused.json()["detail"]
    assert "12.5" not in refused.text, "what other orders have used is not said"
    assert len(await limited.accepted_numbers()) == 3


async def test_changed_file_applies_without_a_restart_and_never_to_an_accepted_order(
    limited: ApiHarness, file: Path
) -> None:
    key = await limited.create_key(Role.PLATFORM)
    body = order(amount="500")
    assert (await limited.post(body, **bearer(key))).status_code == 503
    limits = limited.app.state.services.order_limits
    tighten(file, "100")
    await limits.refresh()
    repeated, new = await limited.post(body, **bearer(key)), await post(limited, key, amount="500")
    tighten(file, "1e3")
    await limits.refresh()
    still = await post(limited, key, amount="500")
    assert (repeated.status_code, new.status_code, still.status_code) == (503, 422, 422)
    assert "limits.largest.per_order" in limits.file.rejected
    ready = (await limited.http.get("/readyz")).json()
    assert ready["order_limits"] == "REJECTED"
