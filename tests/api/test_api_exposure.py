"""Exposure answers from the ledger alone; what it counts and how it adds up is tested at the ledger."""

from datetime import UTC, datetime, timedelta

from settlement.states import State
from tests.api.doors import Door, accept
from tests.api.snapshots import stands
from tests.support.orders import settlement
from tests.support.scripted import UNKNOWN


async def test_money_in_doubt_is_told_with_temporal_away(closed_door: Door) -> None:
    old = settlement(amount="0.10", accepted_at=datetime.now(UTC) - timedelta(hours=2))
    new = settlement(amount="0.20")
    ended = settlement(amount="5.00")
    await accept(closed_door.ledger, old, stands(old, State.ABORTED))
    await accept(closed_door.ledger, new, stands(new, State.CANCELLING))
    await accept(closed_door.ledger, ended, stands(ended, State.SETTLED))
    answer = (await closed_door.http.get("/v1/exposure")).json()
    assert answer["totals"] == [{"currency": "USD", "count": 2, "amount": "0.30"}]
    assert [(line["state"], line["age"], line["companyId"], line["amount"]) for line in answer["lines"]] == [
        ("ABORTED", "<1d", 7, "0.10"),
        ("CANCELLING", "<1m", 7, "0.20"),
    ]


async def test_nothing_in_doubt_is_an_empty_answer(closed_door: Door) -> None:
    answer = (await closed_door.http.get("/v1/exposure")).json()
    assert (answer["totals"], answer["lines"]) == ([], [])


async def test_money_in_doubt_is_broken_down_by_cause(closed_door: Door) -> None:
    order = settlement(amount="0.10")
    await accept(closed_door.ledger, order, stands(order, State.ABORTED))
    answer = (await closed_door.http.get("/v1/exposure", params={"by": "cause"})).json()
    (line,) = answer["lines"]
    assert (line["cause"], line["age"], line["amount"]) == (UNKNOWN.rule, None, "0.10")
    assert (await closed_door.http.get("/v1/exposure", params={"by": "weather"})).status_code == 422
