"""`Prefer: wait=N` (RFC 7240): which values are understood, and how a request waits for its decision."""

import pytest

from settlement.states import State
from tests.api.api_harness import SETTLEMENTS, ApiHarness, accept
from tests.api.snapshots import snapshot_in
from tests.support.orders import order, settlement
from tests.support.scripted import APPLIED, NOT_SENT, REJECTED, REVERSED, Gate, ScriptedExternalSystem
from tests.support.stopwatch import timed

UNDERSTOOD: dict[str, tuple[list[str], int]] = {
    "plain": (["wait=5"], 5),
    "capitals": (["WAIT=5"], 5),
    "mixed case": (["Wait=5"], 5),
    "quoted": (['wait="5"'], 5),
    "blanks around the sign": (["wait = 5"], 5),
    "leading zero": (["wait=05"], 5),
    "behind another": (["respond-async, wait=10"], 10),
    "before another": (["wait=10, respond-async"], 10),
    "no blank": (["respond-async,wait=10"], 10),
    "with a parameter": (["wait=5; foo=bar"], 5),
    "empty elements": ([", ,wait=5,"], 5),
    "first of two": (["wait=5, wait=9"], 5),
    "longest": (["wait=60"], 60),
    "too long": (["wait=61"], 60),
    "nine digits": (["wait=999999999"], 60),
    "ten digits": (["wait=9999999999"], 60),
    "a thousand digits": (["wait=" + "9" * 1000], 60),
    "second of two header lines": (["respond-async", "wait=5"], 5),
    "first of two header lines": (["wait=5", "respond-async"], 5),
    "comma in another's quotes": (['foo="a, wait=3", wait=5'], 5),
}
IGNORED: dict[str, str] = {
    "zero": "wait=0",
    "negative": "wait=-1",
    "plus sign": "wait=+5",
    "decimals": "wait=1.5",
    "word": "wait=soon",
    "unit": "wait=5s",
    "two numbers": "wait=5 6",
    "no value": "wait=",
    "no sign": "wait",
    "another name": "waiting=5",
    "longer name": "x-wait=5",
    "another preference": "respond-async",
    "a parameter of another": "respond-async; wait=5",
    "nothing": "",
    "hexadecimal": "wait=0x5",
    "beyond ASCII": "wait=\u00b2",
}


async def applied(api: ApiHarness, lines: list[str]) -> str | None:
    """Repeat a decided settlement, which returns at once, and return the preference that was applied."""
    accepted = settlement()
    await accept(api.ledger, accepted, snapshot_in(accepted, State.SETTLED))
    headers = [(b"companyId", b"7"), *((b"prefer", line.encode("latin-1")) for line in lines)]
    body = accepted.adjust.model_dump(mode="json", exclude_none=True)
    answer = await api.http.post(SETTLEMENTS, json=body, headers=headers)
    assert answer.status_code == 200
    found: str | None = answer.headers.get("preference-applied")
    return found


@pytest.mark.parametrize(("lines", "wait_s"), UNDERSTOOD.values(), ids=UNDERSTOOD)
async def test_wait_is_understood_and_capped(api_without_temporal: ApiHarness, lines: list[str], wait_s: int) -> None:
    assert await applied(api_without_temporal, lines) == f"wait={wait_s}"


@pytest.mark.parametrize("prefer", IGNORED.values(), ids=IGNORED)
async def test_an_invalid_wait_is_ignored(api_without_temporal: ApiHarness, prefer: str) -> None:
    """RFC 7240: an unknown preference is not an error."""
    assert await applied(api_without_temporal, [prefer]) is None


@pytest.mark.parametrize(
    ("adjust", "state", "decision"),
    [(APPLIED, "SETTLED", "PROCEED"), (REJECTED, "CANCELLING", "VOID"), (NOT_SENT, "EXPIRED", "VOID")],
    ids=["applied", "rejected", "not sent"],
)
async def test_decision_within_the_wait_is_201_at_once(
    api: ApiHarness, adjust: object, state: str, decision: str
) -> None:
    """The caller gets the decision as soon as it is made; a compensation continues."""
    body = order()
    gate = Gate(REVERSED)
    external = ScriptedExternalSystem(adjust=adjust, cancels=[gate])  # type: ignore[arg-type] # parametrized
    async with api.workers(external):
        answer, took_s = await timed(api.post(body, prefer="wait=30"))
        gate.opened.set()
        if adjust is REJECTED:
            await api.wait_for_state(body["requestUniqueNo"], State.CANCELLED)
    assert answer.status_code == 201
    assert (answer.json()["state"], answer.json()["decision"]) == (state, decision)
    assert answer.headers["location"] == f"{SETTLEMENTS}/{body['requestUniqueNo']}?system=default"
    assert answer.headers["preference-applied"] == "wait=30"
    assert not {"retry-after", "idempotent-replayed"} & set(answer.headers)
    assert took_s < 15


async def test_no_decision_within_the_wait_is_202_and_the_settlement_goes_on(api: ApiHarness) -> None:
    body = order()
    gate = Gate(APPLIED)
    external = ScriptedExternalSystem(adjust=gate)
    async with api.workers(external):
        answer = await api.post(body, prefer="wait=2")
        repeat = await api.post(body)
        gate.opened.set()
        await api.wait_for_state(body["requestUniqueNo"], State.SETTLED)
    assert answer.status_code == 202
    assert (answer.json()["state"], answer.json()["decision"]) == ("ADJUSTING", None)
    assert answer.headers["location"] == f"{SETTLEMENTS}/{body['requestUniqueNo']}?system=default"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["preference-applied"] == "wait=2"
    assert (repeat.status_code, repeat.headers["idempotent-replayed"]) == (200, "true")
    assert int(repeat.headers["retry-after"]) > 0
    assert len(external.adjusts) == 1


@pytest.mark.parametrize("headers", [{}, {"prefer": "wait=0"}, {"prefer": "respond-async"}], ids=str)
async def test_without_a_wait_the_answer_is_202_once_it_is_started(api: ApiHarness, headers: dict[str, str]) -> None:
    body = order()
    external = ScriptedExternalSystem(adjust=APPLIED)
    async with api.workers(external):
        answer = await api.post(body, **headers)
        await api.wait_for_state(body["requestUniqueNo"], State.SETTLED)
    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers
    assert int(answer.headers["retry-after"]) > 0
    assert len(external.adjusts) == 1


async def test_adjust_carries_the_order_trace_and_company_as_given(api: ApiHarness) -> None:
    """All values are passed on unchanged: no trimming, number parsing or normalisation."""
    body = order(amount="12.5", userName="\u7528\u6237 \U0001f600", metadata='{ "a" : "\\u00e9" }', ip="2001:DB8::1")
    external = ScriptedExternalSystem(adjust=APPLIED)
    async with api.workers(external):
        answer = await api.post(body, prefer="wait=10", trace="trace-9", companyId="-9")
    assert [each.wire() for each in external.adjusts] == [body]
    assert [(each.trace, each.company_id) for each in external.headers] == [("trace-9", -9)]
    assert answer.json()["order"] == body
