"""The headers of a POST: `companyId` and `trace` are kept as given, or refused by name."""

import pytest

from contract.fields import INT64_MAX, INT64_MIN
from tests.api.doors import SETTLEMENTS, Door
from tests.support.orders import order

COMPANIES_REFUSED = {
    "word": "acme",
    "decimals": "7.5",
    "decimal point": "7.0",
    "exponent": "1e3",
    "underscore": "1_000",
    "hexadecimal": "0x7",
    "two numbers": "7, 8",
    "true": "true",
    "above int64": str(INT64_MAX + 1),
    "below int64": str(INT64_MIN - 1),
    "5000 digits": "9" * 5000,
}
TRACES_REFUSED = {
    "129 characters": "t" * 129,
    "space inside": "a b",
    "tab inside": "a\tb",
    "comma": "a,b",
    "beyond ASCII": "caf\u00e9",
}


async def refused_headers(door: Door, headers: list[tuple[str, str]]) -> list[str]:
    """Post a valid order with some headers and return the names that the 422 gives; nothing must be written."""
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    answer = await door.http.post(SETTLEMENTS, json=order(), headers=raw)
    assert await door.recorded() == []
    assert answer.status_code == 422
    return [each["field"] for each in answer.json()["errors"]]


@pytest.mark.parametrize("value", COMPANIES_REFUSED.values(), ids=COMPANIES_REFUSED)
async def test_company_that_is_no_int64_is_refused_by_name(closed_door: Door, value: str) -> None:
    assert await refused_headers(closed_door, [("companyId", value)]) == ["companyId"]


@pytest.mark.parametrize("value", TRACES_REFUSED.values(), ids=TRACES_REFUSED)
async def test_trace_that_cannot_be_a_header_is_refused_by_name(closed_door: Door, value: str) -> None:
    assert await refused_headers(closed_door, [("trace", value)]) == ["trace"]


@pytest.mark.parametrize("company", [INT64_MIN, -1, 0, 7, INT64_MAX])
@pytest.mark.parametrize("name", ["companyId", "companyid", "COMPANYID"])
async def test_company_is_kept_whatever_the_case_of_its_header(closed_door: Door, company: int, name: str) -> None:
    body = order()
    await closed_door.post(body, **{name: str(company)})
    assert (await closed_door.get(body["requestUniqueNo"])).json()["companyId"] == company


@pytest.mark.parametrize("trace", ["t", "t" * 128, "!~", '"quoted"', "a;b"])
async def test_trace_is_kept_as_given(closed_door: Door, trace: str) -> None:
    body = order()
    await closed_door.post(body, trace=trace)
    assert (await closed_door.get(body["requestUniqueNo"])).json()["trace"] == trace


async def test_trace_is_made_if_absent_and_is_each_settlements_own(closed_door: Door) -> None:
    bodies = [order(), order()]
    for body in bodies:
        await closed_door.post(body)
    traces = {(await closed_door.get(body["requestUniqueNo"])).json()["trace"] for body in bodies}
    assert len(traces) == 2
    assert all(1 <= len(trace) <= 128 for trace in traces)


async def test_company_is_absent_if_none_is_given(closed_door: Door) -> None:
    body = order()
    await closed_door.post(body)
    assert (await closed_door.get(body["requestUniqueNo"])).json()["companyId"] is None


@pytest.mark.parametrize("name", ["timestamp", "token", "x-unknown"])
async def test_other_headers_do_not_matter(closed_door: Door, name: str) -> None:
    """The external system's own headers may be sent along; the front door takes what it knows."""
    answer = await closed_door.post(order(), **{name: "anything at all"})
    assert answer.json()["code"] == "temporal-unavailable"
