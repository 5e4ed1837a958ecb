"""On every route: ambiguous or unknown headers and parameters are rejected by name; blank ones are absent."""

from collections.abc import Iterator
from typing import Any, cast

import httpx2
import pytest

from api.app import create_app
from api.http.strict_requests import STANDARD_HEADERS
from tests.api.api_harness import SETTLEMENTS, ApiHarness, accept
from tests.support.orders import order, settlement

DOCUMENT: dict[str, Any] = create_app(cast("Any", None)).openapi()
OURS = ("companyId", "trace", "Idempotency-Key", "Last-Event-ID")
MANY = {"prefer"}
"""Headers that may be repeated (RFC 7240)."""


def routes() -> Iterator[Any]:
    """Yield method, path and query parameters of every route."""
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            query = [each["name"] for each in operation.get("parameters", []) if each["in"] == "query"]
            yield pytest.param(method, path.replace("{", "").replace("}", ""), query, id=f"{method} {path}")
    yield pytest.param("get", "/metrics", [], id="get /metrics")
    yield pytest.param("get", "/openapi.json", [], id="get /openapi.json")


def refused(answer: httpx2.Response) -> list[str]:
    """Return the names that a 422 gives."""
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    return [each["field"] for each in answer.json()["errors"]]


@pytest.mark.parametrize(("method", "path", "query"), list(routes()))
async def test_unknown_parameter_is_refused(
    api_without_temporal: ApiHarness, method: str, path: str, query: list[str]
) -> None:
    answer = await api_without_temporal.http.request(method, path, params={"unknown": "1"})
    assert refused(answer) == ["unknown"]
    assert all(name in answer.json()["detail"] for name in query)


@pytest.mark.parametrize(("method", "path", "query"), list(routes()))
async def test_repeated_parameter_is_refused(
    api_without_temporal: ApiHarness, method: str, path: str, query: list[str]
) -> None:
    for name in query:
        assert refused(await api_without_temporal.http.request(method, f"{path}?{name}=1&{name}=1")) == [name]


@pytest.mark.parametrize(("method", "path", "query"), list(routes()))
async def test_repeated_header_is_refused(
    api_without_temporal: ApiHarness, method: str, path: str, query: list[str]
) -> None:
    """Also if the route does not read the header."""
    del query
    for name in (*OURS, "Content-Type", "Authorization", "User-Agent"):
        headers = [(name, "7"), (name.upper(), "8")]
        assert [
            each.lower() for each in refused(await api_without_temporal.http.request(method, path, headers=headers))
        ] == [name.lower()]


@pytest.mark.parametrize("name", OURS)
async def test_a_list_in_a_single_value_header_is_rejected(api_without_temporal: ApiHarness, name: str) -> None:
    answer = await api_without_temporal.post(order(), **{name: "7, 8"})
    assert [each.lower() for each in refused(answer)] == [name.lower()]
    assert await api_without_temporal.accepted_numbers() == []


def test_every_header_in_the_document_is_among_those_that_are_checked() -> None:
    documented = {
        each["name"].lower()
        for operations in DOCUMENT["paths"].values()
        for operation in operations.values()
        for each in operation.get("parameters", [])
        if each["in"] == "header"
    }
    assert documented == {name.lower() for name in OURS} | MANY


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Accept", "Via", "Cookie"])
async def test_header_that_is_a_list_may_be_repeated(api_without_temporal: ApiHarness, name: str) -> None:
    assert name not in STANDARD_HEADERS
    assert (await api_without_temporal.http.get(SETTLEMENTS, headers=[(name, "a"), (name, "b")])).status_code == 200


async def test_a_company_in_the_query_is_rejected_with_a_hint_at_the_header(api_without_temporal: ApiHarness) -> None:
    """If it were ignored, the order would be settled without a company."""
    answer = await api_without_temporal.http.post(f"{SETTLEMENTS}?companyId=7", json=order())
    assert refused(answer) == ["companyId"]
    assert "send companyId as a header" in answer.json()["detail"]
    assert await api_without_temporal.accepted_numbers() == []


@pytest.mark.parametrize(("method", "path", "query"), list(routes()))
async def test_blank_parameter_counts_as_absent(
    api_without_temporal: ApiHarness, method: str, path: str, query: list[str]
) -> None:
    absent = await api_without_temporal.http.request(method, path)
    for blank in ("", "%20", "+%09"):
        names = [name for name in query if not blank or name not in {"requestUniqueNo", "userName"}]
        given = "&".join(f"{name}={blank}" for name in names)
        answer = await api_without_temporal.http.request(method, f"{path}?{given}")
        assert answer.status_code == absent.status_code
        assert path in {"/metrics", "/v1/exposure"} or answer.text == absent.text


@pytest.mark.parametrize("blank", ["", " ", "\t"])
async def test_blank_header_counts_as_absent(api_without_temporal: ApiHarness, blank: str) -> None:
    body = order()
    await api_without_temporal.post(body, companyId=blank, trace=blank)
    found = (await api_without_temporal.get(body["requestUniqueNo"])).json()
    assert found["companyId"] is None
    assert found["trace"].strip()


async def test_a_blank_last_event_id_starts_at_the_first_event(api_without_temporal: ApiHarness) -> None:
    """A 422 would stop a browser's EventSource permanently."""
    number = await accept(api_without_temporal.ledger, settlement())
    api_without_temporal.app.state.streams.stopping = lambda: True
    answer = await api_without_temporal.http.get(f"{SETTLEMENTS}/{number}/events?after=", headers={"last-event-id": ""})
    assert answer.status_code == 200
    assert "id: 0" in answer.text


@pytest.mark.parametrize("moment", ["2026-01-05T00:00:00+05:00", "2026-01-05 00:00+0530"])
@pytest.mark.parametrize("path", [SETTLEMENTS, "/v1/batch-retry-preview"])
async def test_an_unencoded_plus_is_rejected_with_a_hint(
    api_without_temporal: ApiHarness, path: str, moment: str
) -> None:
    answer = await api_without_temporal.http.get(f"{path}?from={moment.replace(' ', '%20')}")
    assert refused(answer) == ["from"]
    assert "%2B" in answer.json()["detail"]


async def test_an_encoded_plus_is_accepted(api_without_temporal: ApiHarness) -> None:
    assert (await api_without_temporal.http.get(f"{SETTLEMENTS}?from=2026-01-05T00:00:00%2B05:00")).status_code == 200


async def test_an_unauthorized_caller_is_not_told_the_rules(api_with_keys: ApiHarness) -> None:
    answer = await api_with_keys.http.get(f"{SETTLEMENTS}?unknown=1")
    assert answer.status_code == 401


@pytest.mark.parametrize("method", ["OPTIONS", "DELETE", "BREW"])
async def test_unknown_methods_still_get_405(api_without_temporal: ApiHarness, method: str) -> None:
    assert (await api_without_temporal.http.request(method, f"{SETTLEMENTS}?unknown=1")).status_code == 405
