"""The headers of a POST: `companyId` and `trace` are stored unchanged, or rejected by name."""

import pytest

from contract.fields import INT64_MAX, INT64_MIN
from tests.api.api_harness import SETTLEMENTS, ApiHarness
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


async def refused_headers(api: ApiHarness, headers: list[tuple[str, str]]) -> list[str]:
    """Post a valid order with these headers. Check that it is rejected, and return the fields that the 422 names."""
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    answer = await api.http.post(SETTLEMENTS, json=order(), headers=raw)
    assert await api.accepted_numbers() == []
    assert answer.status_code == 422
    return [each["field"] for each in answer.json()["errors"]]


@pytest.mark.parametrize("value", COMPANIES_REFUSED.values(), ids=COMPANIES_REFUSED)
async def test_a_company_that_is_not_an_int64_is_rejected_by_name(api_without_temporal: ApiHarness, value: str) -> None:
    assert await refused_headers(api_without_temporal, [("companyId", value)]) == ["companyId"]


@pytest.mark.parametrize("value", TRACES_REFUSED.values(), ids=TRACES_REFUSED)
async def test_an_invalid_trace_is_rejected_by_name(api_without_temporal: ApiHarness, value: str) -> None:
    assert await refused_headers(api_without_temporal, [("trace", value)]) == ["trace"]


@pytest.mark.parametrize("company", [INT64_MIN, -1, 0, 7, INT64_MAX])
@pytest.mark.parametrize("name", ["companyId", "companyid", "COMPANYID"])
async def test_the_name_of_the_company_header_is_case_insensitive(
    api_without_temporal: ApiHarness, company: int, name: str
) -> None:
    body = order()
    await api_without_temporal.post(body, **{name: str(company)})
    assert (await api_without_temporal.get(body["requestUniqueNo"])).json()["companyId"] == company


@pytest.mark.parametrize("trace", ["t", "t" * 128, "!~", '"quoted"', "a;b"])
async def test_the_trace_is_stored_unchanged(api_without_temporal: ApiHarness, trace: str) -> None:
    body = order()
    await api_without_temporal.post(body, trace=trace)
    assert (await api_without_temporal.get(body["requestUniqueNo"])).json()["trace"] == trace


async def test_an_absent_trace_is_generated_and_unique(api_without_temporal: ApiHarness) -> None:
    bodies = [order(), order()]
    for body in bodies:
        await api_without_temporal.post(body)
    traces = {(await api_without_temporal.get(body["requestUniqueNo"])).json()["trace"] for body in bodies}
    assert len(traces) == 2
    assert all(1 <= len(trace) <= 128 for trace in traces)


async def test_without_the_header_the_company_is_null(api_without_temporal: ApiHarness) -> None:
    body = order()
    await api_without_temporal.post(body)
    assert (await api_without_temporal.get(body["requestUniqueNo"])).json()["companyId"] is None


@pytest.mark.parametrize("name", ["timestamp", "token", "x-unknown"])
async def test_other_headers_are_ignored(api_without_temporal: ApiHarness, name: str) -> None:
    """Headers of the external system may be sent, too; the API reads only the ones it knows."""
    answer = await api_without_temporal.post(order(), **{name: "anything at all"})
    assert answer.json()["code"] == "temporal-unavailable"
