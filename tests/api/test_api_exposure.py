"""GET /v1/exposure, from the ledger alone. The tests of the ledger check what it counts and how it sums."""

from datetime import UTC, datetime, timedelta

from settlement.states import State
from tests.api.api_harness import ApiHarness, accept
from tests.api.snapshots import snapshot_in
from tests.support.orders import settlement
from tests.support.scripted import UNKNOWN


async def test_money_in_doubt_is_reported_without_temporal(api_without_temporal: ApiHarness) -> None:
    old = settlement(amount="0.10", accepted_at=datetime.now(UTC) - timedelta(hours=2))
    new = settlement(amount="0.20")
    ended = settlement(amount="5.00")
    await accept(api_without_temporal.ledger, old, snapshot_in(old, State.ABORTED))
    await accept(api_without_temporal.ledger, new, snapshot_in(new, State.CANCELLING))
    await accept(api_without_temporal.ledger, ended, snapshot_in(ended, State.SETTLED))
    answer = (await api_without_temporal.http.get("/v1/exposure")).json()
    assert answer["totals"] == [{"currency": "USD", "count": 2, "amount": "0.30"}]
    assert [(line["state"], line["age"], line["companyId"], line["amount"]) for line in answer["lines"]] == [
        ("ABORTED", "<1d", 7, "0.10"),
        ("CANCELLING", "<1m", 7, "0.20"),
    ]


async def test_no_money_in_doubt_is_an_empty_report(api_without_temporal: ApiHarness) -> None:
    answer = (await api_without_temporal.http.get("/v1/exposure")).json()
    assert (answer["totals"], answer["lines"]) == ([], [])


async def test_money_in_doubt_is_broken_down_by_cause(api_without_temporal: ApiHarness) -> None:
    order = settlement(amount="0.10")
    await accept(api_without_temporal.ledger, order, snapshot_in(order, State.ABORTED))
    answer = (await api_without_temporal.http.get("/v1/exposure", params={"by": "cause"})).json()
    (line,) = answer["lines"]
    assert (line["cause"], line["age"], line["amount"]) == (UNKNOWN.rule, None, "0.10")
    assert (await api_without_temporal.http.get("/v1/exposure", params={"by": "weather"})).status_code == 422
